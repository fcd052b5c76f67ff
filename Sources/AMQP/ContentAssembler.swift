/// Puts the frames of a message together: a method, a header, and body frames until the announced size is reached.
///
/// Pure. Broken orders of frames are protocol errors: whatever follows them could be taken for the wrong message.
struct ContentAssembler {
    struct Content: Equatable {
        /// `deliver`, `returned` or `gotMessage`.
        let method: Incoming
        let properties: BasicProperties
        let body: [UInt8]
    }

    private enum State {
        /// Becomes `method`.
        case idle
        /// Becomes `body`, or `idle` if the body is empty.
        case method(Incoming)
        /// Becomes `idle` once the body is whole.
        case body(Incoming, BasicProperties, size: Int, [UInt8])
    }

    private var state = State.idle
    private let maxBodyBytes: Int

    /// - Parameter maxBodyBytes: RabbitMQ 3.10 lets messages of up to 128 MiB through.
    init(maxBodyBytes: Int = 128 << 20) {
        self.maxBodyBytes = maxBodyBytes
    }

    /// Takes a frame; answers the message that it completes. Frames that are not part of a message are none of its business.
    mutating func accept(_ incoming: Incoming) throws(AMQPError) -> Content? {
        switch incoming {
        case .deliver, .returned, .gotMessage:
            guard case .idle = state else { throw violation("a method within a message") }
            state = .method(incoming)
            return nil
        case .header(let size, let properties):
            guard case .method(let method) = state else { throw violation("a header without its method") }
            guard size <= UInt64(maxBodyBytes) else { throw violation("a body of \(size) bytes") }
            if size == 0 {
                state = .idle
                return Content(method: method, properties: properties, body: [])
            }
            state = .body(method, properties, size: Int(size), [])
            return nil
        case .body(let bytes):
            guard case .body(let method, let properties, let size, var body) = state else {
                throw violation("a body without its header")
            }
            state = .idle
            if body.isEmpty { body = bytes } else { body.append(contentsOf: bytes) }
            guard body.count <= size else { throw violation("a body longer than announced") }
            if body.count == size { return Content(method: method, properties: properties, body: body) }
            state = .body(method, properties, size: size, body)
            return nil
        default:
            return nil
        }
    }

    private func violation(_ what: String) -> AMQPError {
        AMQPError(.protocolViolation, "unexpected frame: \(what)")
    }
}
