package lambdaenv

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
)

// functionVersion is the version of every function: the one that is not published.
const functionVersion = "$LATEST"

// variables returns the environment of a process: what Lambda defines (Lambda Developer Guide, "Defined runtime
// environment variables") and what the configuration adds. Nothing of this process's own environment is in it, so that
// no credentials and no profile of the person at the keyboard reach the function.
func variables(config Config, runtimeAPI string) []string {
	all := map[string]string{
		"AWS_ACCESS_KEY_ID":     "local",
		"AWS_SECRET_ACCESS_KEY": "local",
		"AWS_SESSION_TOKEN":     "local",
		"LANG":                  "en_US.UTF-8",
		"PATH":                  "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"TZ":                    ":UTC",
	}
	maps.Copy(all, config.Env)
	maps.Copy(all, reserved(config))
	all["AWS_LAMBDA_RUNTIME_API"] = runtimeAPI
	list := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}

// reserved returns the variables that a function's configuration cannot set.
func reserved(config Config) map[string]string {
	folder := filepath.Dir(config.Bootstrap)
	return map[string]string{
		"_HANDLER":                        config.Handler,
		"AWS_DEFAULT_REGION":              config.Region,
		"AWS_REGION":                      config.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        config.Name,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(config.MemoryMB),
		"AWS_LAMBDA_FUNCTION_VERSION":     functionVersion,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + config.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      "local",
		"AWS_LAMBDA_RUNTIME_API":          "",
		"LAMBDA_RUNTIME_DIR":              folder,
		"LAMBDA_TASK_ROOT":                folder,
	}
}

// checkVariables refuses reserved names.
func checkVariables(env map[string]string) error {
	names := reserved(Config{})
	for name := range env {
		if _, ok := names[name]; ok {
			return fmt.Errorf("environment variable %s is reserved", name)
		}
	}
	return nil
}
