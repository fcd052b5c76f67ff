/// Where a publisher's or a consumer's connection stands.
package enum ConnectionState: Sendable, Hashable, CustomStringConvertible {
    /// Trying for the first time; nothing is known yet.
    case connecting
    case connected
    /// Connected, but the broker takes no publishes now: it is short of memory or disk.
    case blocked(reason: String)
    /// Connected, but not every subscription is in place; the missing ones are tried again.
    case degraded(AMQPError)
    /// Not connected. While the service runs another attempt follows; `lastError` is nil after a close we asked for.
    case disconnected(lastError: AMQPError?)

    package var isConnected: Bool {
        switch self {
        case .connected, .blocked, .degraded: true
        case .connecting, .disconnected: false
        }
    }

    package var description: String {
        switch self {
        case .connecting: "connecting"
        case .connected: "connected"
        case .blocked(let reason): "blocked: \(reason)"
        case .degraded(let error): "degraded: \(error)"
        case .disconnected(nil): "disconnected"
        case .disconnected(let error?): "disconnected: \(error)"
        }
    }
}
