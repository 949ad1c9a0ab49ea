package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"
)

// documents are in every archive, beside the program.
var documents = []string{"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md"}

// notices has the licenses of what others wrote (thirdParty), in archives and image.
const notices = "THIRD-PARTY-LICENSES.txt"

// entry is a file of an archive.
type entry struct {
	name string
	mode os.FileMode
	data []byte
}

// writeArchive writes a zip for Windows, and a compressed tar for all others.
func writeArchive(source, out string, b build, licenses []byte) error {
	data, err := os.ReadFile(b.path)
	if err != nil {
		return err
	}
	entries := []entry{
		{path.Join(b.name(), filepath.Base(b.path)), 0o755, data},
		{path.Join(b.name(), notices), 0o644, licenses},
	}
	for _, name := range documents {
		if data, err = os.ReadFile(filepath.Join(source, name)); err != nil {
			return err
		}
		entries = append(entries, entry{path.Join(b.name(), name), 0o644, data})
	}
	if b.system() == "windows" {
		return write(filepath.Join(out, b.name()+".zip"), func(w io.Writer) error { return writeZip(w, entries, b.at) })
	}
	return write(filepath.Join(out, b.name()+".tar.gz"), func(w io.Writer) error {
		compressed := gzip.NewWriter(w)
		if err := writeTar(compressed, entries, b.at); err != nil {
			return err
		}
		return compressed.Close()
	})
}

// write makes a file of what f writes.
func write(name string, f func(io.Writer) error) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if failed := file.Close(); err == nil {
			err = failed
		}
	}()
	return f(file)
}

func writeTar(w io.Writer, entries []entry, at time.Time) error {
	archive := tar.NewWriter(w)
	for _, e := range entries {
		err := archive.WriteHeader(&tar.Header{Name: e.name, Mode: int64(e.mode), Size: int64(len(e.data)), ModTime: at, Format: tar.FormatUSTAR})
		if err != nil {
			return err
		}
		if _, err := archive.Write(e.data); err != nil {
			return err
		}
	}
	return archive.Close()
}

func writeZip(w io.Writer, entries []entry, at time.Time) error {
	archive := zip.NewWriter(w)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at.UTC()}
		header.SetMode(e.mode)
		file, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := file.Write(e.data); err != nil {
			return err
		}
	}
	return archive.Close()
}
