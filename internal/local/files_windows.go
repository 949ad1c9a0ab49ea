package local

import "log/slog"

// warnOfFiles has nothing to warn of: Windows has no such limit.
func warnOfFiles(*slog.Logger, int) {}
