import CRabbitMQ
import Glibc
import OwnerThread

/// One open connection of librabbitmq with its channel: every call of the library is made here.
///
/// Confined to the thread that made it. A link does not come back: after an error that is not an answer of the broker to
/// a request it is `isBroken`, and its owner drops it, which frees everything without a further word to the broker.
final class Link {
    /// The one channel that carries messages. The library keeps 128 kB for each channel number ever used.
    static let channel: amqp_channel_t = 1
    /// Only for requests whose refusal must not cost the deliveries of the first channel.
    static let probingChannel: amqp_channel_t = 2

    /// The largest frame we ask for, RabbitMQ's own default.
    static let frameMax = 131_072

    private let connection: ConnectionHandle
    private let arena = Arena()
    let socket: SocketGuard
    let heartbeat: Duration
    let frameMax: Int
    let rpcTimeout: Duration
    private(set) var isBroken = false
    /// When bytes last came from the broker.
    private var lastHeard = ContinuousClock.now

    var raw: amqp_connection_state_t { connection.raw }

    init(
        connection: consuming ConnectionHandle, socket: SocketGuard, heartbeat: Duration, frameMax: Int,
        rpcTimeout: Duration
    ) {
        self.connection = connection
        self.socket = socket
        self.heartbeat = heartbeat
        self.frameMax = frameMax
        self.rpcTimeout = rpcTimeout
    }

    // MARK: Frames

    /// Whether the library holds input that a poll of the socket would not show.
    var hasBufferedInput: Bool {
        amqp_frames_enqueued(raw) != 0 || amqp_data_in_buffer(raw) != 0
    }

    /// The next frame, or nil when there is none now (or within `wait`).
    ///
    /// Nil also means that the socket was read until it was empty, so nothing is left in OpenSSL's buffers either. The
    /// library sends and checks heartbeats in here; this must be called several times per heartbeat.
    func next(wait: Duration = .zero) throws(AMQPError) -> Incoming? {
        try requireIntact()
        var frame = amqp_frame_t()
        var limit = timeval(wait)
        let status = socket.watching(wait + heartbeat) { amqp_simple_wait_frame_noblock(raw, &frame, &limit) }
        if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
        if status != AMQP_STATUS_OK.rawValue { throw broken(status, "reading") }
        noteInput()
        let incoming = Incoming(frame)
        // Everything was copied out, so the memory of this frame, and of those before it, can be used again.
        amqp_maybe_release_buffers(raw)
        switch incoming {
        case .connectionClosed(let code, let text):
            var reply = amqp_connection_close_ok_t()
            _ = send(AMQP_CONNECTION_CLOSE_OK_METHOD, &reply, on: 0)
            isBroken = true
            throw AMQPError(replyCode: code, text: text, of: .connection)
        default:
            return incoming
        }
    }

    /// Notes that something came. Heartbeats are swallowed by the library, so the poll's word counts too.
    func noteInput() {
        lastHeard = .now
    }

    /// Fails when the broker has been silent for so long that it must be gone.
    ///
    /// RabbitMQ sends a heartbeat every half interval. The limit lies a quarter below two intervals so that, checked four
    /// times per interval, a silent peer is found out within two.
    func checkSilence() throws(AMQPError) {
        if socket.readiness(.readable).contains(.readable) { noteInput() }
        if ContinuousClock.now - lastHeard >= heartbeat * 7 / 4 {
            isBroken = true
            throw AMQPError(.peerSilent, "nothing heard from the broker for almost two heartbeats of \(heartbeat)")
        }
    }

    /// Whether a publish can be written without waiting, most probably.
    var isWritable: Bool { !socket.readiness(.writable).isEmpty }

    // MARK: Messages

    /// Writes a publish; the caller has checked it with `WireSize` and this link's `frameMax`.
    ///
    /// On an error nobody knows how much of it reached the broker. A write without progress is cut after a heartbeat.
    ///
    /// - Parameter deadline: when nobody waits for the publish any more; one heartbeat it may take at any rate.
    func publish(_ publication: Publication, deadline: ContinuousClock.Instant) throws(AMQPError) {
        try requireIntact()
        defer { arena.reset() }
        let exchange = arena.bytes(publication.exchange)
        let routingKey = arena.bytes(publication.routingKey)
        var properties = publication.properties.raw(in: arena)
        let status = publication.body.withUnsafeBytes { body in
            // The library takes a mutable pointer and only reads.
            let bytes = amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            return socket.watching(heartbeat, whileProgressingUntil: deadline) {
                amqp_basic_publish(
                    raw, Self.channel, exchange, routingKey, publication.isMandatory ? 1 : 0, 0, &properties, bytes)
            }
        }
        if status != AMQP_STATUS_OK.rawValue { throw broken(status, "publishing") }
    }

    func acknowledge(_ tag: UInt64, multiple: Bool) throws(AMQPError) {
        var method = amqp_basic_ack_t(delivery_tag: tag, multiple: multiple ? 1 : 0)
        try transmit(AMQP_BASIC_ACK_METHOD, &method)
    }

    /// Refuses for good: the broker dead-letters the message.
    func reject(_ tag: UInt64) throws(AMQPError) {
        var method = amqp_basic_reject_t(delivery_tag: tag, requeue: 0)
        try transmit(AMQP_BASIC_REJECT_METHOD, &method)
    }

    /// Hands back to the queue. By basic.nack, which newer brokers do not count as a failed delivery, as they do reject.
    func requeue(_ tag: UInt64) throws(AMQPError) {
        var method = amqp_basic_nack_t(delivery_tag: tag, multiple: 0, requeue: 1)
        try transmit(AMQP_BASIC_NACK_METHOD, &method)
    }

    private func transmit<Method>(_ id: amqp_method_number_t, _ method: inout Method) throws(AMQPError) {
        try requireIntact()
        let status = send(id, &method, on: Self.channel)
        if status != AMQP_STATUS_OK.rawValue { throw broken(status, "settling") }
    }

    private func send<Method>(
        _ id: amqp_method_number_t, _ method: inout Method, on channel: amqp_channel_t
    ) -> CInt {
        withUnsafeMutablePointer(to: &method) { method in
            socket.watching(heartbeat) { amqp_send_method(raw, channel, id, method) }
        }
    }

    // MARK: Requests

    /// Sends a request and waits for its answer, at most `rpcTimeout`; frames that come in between are kept for `next`.
    ///
    /// - Parameters:
    ///   - request: the method, with its texts from the arena.
    ///   - read: copies what is wanted out of the answer.
    func call<Request, Reply, Result>(
        _ id: amqp_method_number_t, _ reply: amqp_method_number_t, request: (borrowing Arena) -> Request,
        read: (Reply) -> Result
    ) throws(AMQPError) -> Result {
        let answer = try exchange(id, [reply], request: request)
        defer { amqp_maybe_release_buffers(raw) }
        return read(answer.decoded.assumingMemoryBound(to: Reply.self).pointee)
    }

    /// As above, for requests whose answer says only that they were met.
    func call<Request>(
        _ id: amqp_method_number_t, _ reply: amqp_method_number_t, on channel: amqp_channel_t = Link.channel,
        limit: Duration? = nil, request: (borrowing Arena) -> Request
    ) throws(AMQPError) {
        _ = try exchange(id, [reply], on: channel, limit: limit, request: request)
        amqp_maybe_release_buffers(raw)
    }

    /// As `call`, for requests with several possible answers. The answer is valid until the next call.
    func exchange<Request>(
        _ id: amqp_method_number_t, _ replies: [amqp_method_number_t], on channel: amqp_channel_t = Link.channel,
        limit: Duration? = nil, request: (borrowing Arena) -> Request
    ) throws(AMQPError) -> amqp_method_t {
        try requireIntact()
        defer { arena.reset() }
        var request = request(arena)
        var expected = replies + [0]
        let limit = limit ?? rpcTimeout
        var time = timeval(limit)
        _ = amqp_set_rpc_timeout(raw, &time)
        let answer = withUnsafeMutablePointer(to: &request) { request in
            // The library watches its own limit; the watchdog is there for a send that gets stuck.
            socket.watching(limit + heartbeat) { amqp_simple_rpc(raw, channel, id, &expected, request) }
        }
        switch answer.reply_type {
        case AMQP_RESPONSE_NORMAL:
            noteInput()
            return answer.reply
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            throw refusal(answer.reply, on: channel)
        default:
            throw broken(answer.library_error, "request \(id >> 16).\(id & 0xFFFF)")
        }
    }

    /// Opens a channel, or opens it again after the broker has closed it.
    func openChannel(_ channel: amqp_channel_t = Link.channel) throws(AMQPError) {
        try call(
            AMQP_CHANNEL_OPEN_METHOD, AMQP_CHANNEL_OPEN_OK_METHOD, on: channel
        ) { _ in amqp_channel_open_t(out_of_band: amqp_empty_bytes) }
    }

    /// Has the broker confirm what is published on the channel.
    func selectConfirms() throws(AMQPError) {
        try call(AMQP_CONFIRM_SELECT_METHOD, AMQP_CONFIRM_SELECT_OK_METHOD) { _ in amqp_confirm_select_t(nowait: 0) }
    }

    func closeChannel(_ channel: amqp_channel_t = Link.channel, limit: Duration? = nil) throws(AMQPError) {
        try call(
            AMQP_CHANNEL_CLOSE_METHOD, AMQP_CHANNEL_CLOSE_OK_METHOD, on: channel,
            limit: limit
        ) { arena in
            amqp_channel_close_t(reply_code: 200, reply_text: arena.bytes("bye"), class_id: 0, method_id: 0)
        }
    }

    /// Tells the broker that its closing of the channel was seen, after which the channel can be opened again.
    func confirmChannelClosed(_ channel: amqp_channel_t = Link.channel) throws(AMQPError) {
        try requireIntact()
        var reply = amqp_channel_close_ok_t()
        let status = send(AMQP_CHANNEL_CLOSE_OK_METHOD, &reply, on: channel)
        if status != AMQP_STATUS_OK.rawValue { throw broken(status, "closing a channel") }
    }

    /// Says good-bye, waiting at most `limit` for the answer. The link is broken afterwards.
    ///
    /// The channel is closed first: its answer shows that all settlements before it were processed.
    func close(within limit: Duration) {
        guard !isBroken else { return }
        let end = ContinuousClock.now + limit
        do throws(AMQPError) {
            try closeChannel(limit: limit)
            try call(
                AMQP_CONNECTION_CLOSE_METHOD, AMQP_CONNECTION_CLOSE_OK_METHOD,
                on: 0, limit: max(.milliseconds(1), end - .now)
            ) { arena in
                amqp_connection_close_t(reply_code: 200, reply_text: arena.bytes("bye"), class_id: 0, method_id: 0)
            }
        } catch {
            // Nothing more can be done politely; the broker notices the closed socket.
        }
        isBroken = true
    }

    // MARK: Errors

    private func requireIntact() throws(AMQPError) {
        if isBroken { throw AMQPError(.connectionLost, "the connection was lost before") }
    }

    /// The broker's refusal of a request, which has closed the channel or the connection.
    private func refusal(_ method: amqp_method_t, on channel: amqp_channel_t) -> AMQPError {
        switch method.id {
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = method.decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            let error = AMQPError(replyCode: close.reply_code, text: String(close.reply_text), of: .channel)
            // If this fails, the next call does and says why.
            try? confirmChannelClosed(channel)
            return error
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = method.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            let error = AMQPError(replyCode: close.reply_code, text: String(close.reply_text), of: .connection)
            var reply = amqp_connection_close_ok_t()
            _ = send(AMQP_CONNECTION_CLOSE_OK_METHOD, &reply, on: 0)
            isBroken = true
            return error
        default:
            isBroken = true
            return AMQPError(.protocolViolation, "an answer of an unknown kind")
        }
    }

    private func broken(_ status: CInt, _ doing: String) -> AMQPError {
        isBroken = true
        if socket.isCut {
            return AMQPError(
                .peerSilent,
                "a write to the broker made no progress for a heartbeat of \(heartbeat), or not enough in its time"
            )
        }
        return AMQPError(status: status, doing)
    }
}
