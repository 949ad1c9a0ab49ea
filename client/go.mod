module github.com/owt-signal/owt-signal/client

go 1.23

require github.com/coder/websocket v1.8.15
