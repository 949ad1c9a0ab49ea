package main

import (
	"io"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeSBOM lists the modules that the builds are made of, as CycloneDX has it.
func writeSBOM(out string, builds []build, all []*debug.Module) error {
	b := builds[0]
	bom := cdx.NewBOM()
	main := component(b.info.Main.Path, b.version())
	main.Type, main.Licenses = cdx.ComponentTypeApplication, &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}}
	bom.Metadata = &cdx.Metadata{Timestamp: b.at.Format(time.RFC3339), Component: &main}
	components := []cdx.Component{component("std", strings.TrimPrefix(b.info.GoVersion, "go"))}
	for _, m := range all {
		components = append(components, component(m.Path, m.Version))
	}
	bom.Components = &components
	name := filepath.Join(out, "owt-signal_"+strings.TrimPrefix(b.version(), "v")+"_sbom.cdx.json")
	return write(name, func(w io.Writer) error {
		return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6) // many scanners do not read 1.7 yet, the default
	})
}

func component(path, version string) cdx.Component {
	url := "pkg:golang/" + path + "@" + version
	return cdx.Component{BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: url}
}
