import CRabbitMQ
import Glibc

/// Owns a connection of the library; freeing it closes the descriptor and waits for nothing.
struct ConnectionHandle: ~Copyable {
    let raw: amqp_connection_state_t

    init() throws(AMQPError) {
        guard let raw = amqp_new_connection() else {
            throw AMQPError(.connectionLost, "no memory for a connection")
        }
        self.raw = raw
    }

    deinit {
        amqp_destroy_connection(raw)
    }
}

extension timeval {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
    }
}
