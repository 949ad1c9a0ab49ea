package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	// certificates is where Go looks for those that it trusts, on Linux.
	certificates = "etc/ssl/certs/ca-certificates.crt"
	// nobody is whom the program runs as.
	nobody = "65532:65532"
)

// writeImage writes an image for the builds for Linux, as an OCI layout in a tar
// (image-layout.md of the OCI's image specification), which needs no daemon to make
// and none to read. It has the program, the certificates that Mozilla trusts, and
// licenses.
func writeImage(source, out string, builds []build, licenses []byte) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	license, err := os.ReadFile(filepath.Join(source, "LICENSE"))
	if err != nil {
		return err
	}
	documents := []entry{{"LICENSE", 0o644, license}, {notices, 0o644, licenses}}
	var last build
	for _, b := range builds {
		if b.system() != "linux" {
			continue
		}
		image, err := b.image(documents)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: b.system(), Architecture: b.processor()}},
		})
		last = b
	}
	if last.info == nil {
		return nil // nothing is for Linux
	}
	folder, err := os.MkdirTemp("", "image-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	version := strings.TrimPrefix(last.version(), "v")
	err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": version,                           // annotations.md of the same
		"io.containerd.image.name":          "localhost/owt-signal:" + version, // what Docker and Podman call it when they load it
	}))
	if err != nil {
		return err
	}
	entries, err := entriesOf(folder)
	if err != nil {
		return err
	}
	name := filepath.Join(out, "owt-signal_"+version+"_image.tar")
	return write(name, func(w io.Writer) error { return writeTar(w, entries, last.at) })
}

// image returns the image of one build, with documents.
func (b build) image(documents []entry) (v1.Image, error) {
	program, err := os.ReadFile(b.path)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	entries := append([]entry{{certificates, 0o644, trusted()}, {"owt-signal", 0o755, program}}, documents...)
	err = writeTar(&layer, entries, b.at)
	if err != nil {
		return nil, err
	}
	files, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), files)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, b.config(image))
}

// config says how the program is run.
func (b build) config(image v1.Image) *v1.ConfigFile {
	config, err := image.ConfigFile()
	if err != nil {
		panic(err) // it was just made
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = b.system(), b.processor(), v1.Time{Time: b.at}
	for i := range config.History {
		config.History[i].Created = config.Created
	}
	config.Config = v1.Config{
		Entrypoint:   []string{"/owt-signal"},
		User:         nobody,
		ExposedPorts: map[string]struct{}{"8095/tcp": {}, "8096/tcp": {}},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "owt-signal",
			"org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.version":  strings.TrimPrefix(b.version(), "v"),
			"org.opencontainers.image.revision": b.setting("vcs.revision"),
		},
	}
	return config
}

// trusted returns the certificates that Mozilla trusts, but for those that it trusts
// for some names alone, which the file cannot say.
func trusted() []byte {
	var file bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&file, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return file.Bytes()
}

// entriesOf returns the files of a folder, in the order of their names.
func entriesOf(folder string) (entries []entry, err error) {
	files := os.DirFS(folder)
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		entries = append(entries, entry{name, 0o644, data})
		return err
	})
	return entries, err
}
