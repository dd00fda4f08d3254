module nunet-interop-reference

go 1.23

require (
	github.com/libp2p/go-libp2p v0.51.0
	gitlab.com/nunet/device-management-service v0.0.0
)
