nice -n 10 go run ./cmd/owt-signal-sim -first $((1<<47)) -seeds ${1:-2000} ${2:+-mutation "$2"}
