import NIOCore

/// Until when a connection must have made its next step: a state machine without clock or timer.
///
/// A peer that sends its header, its body or its acknowledgements byte by byte renews nothing: each phase has one
/// deadline, set when the phase begins.
struct ConnectionDeadline {
    struct Limits: Sendable {
        var header: TimeAmount
        var body: TimeAmount
        var write: TimeAmount
        var idle: TimeAmount
        /// After an answer that ends the connection although the peer is still sending.
        var linger: TimeAmount = .seconds(2)

        init(_ timeouts: IngressConfiguration.Timeouts) {
            header = TimeAmount(timeouts.header)
            body = TimeAmount(timeouts.body)
            write = TimeAmount(timeouts.write)
            idle = TimeAmount(timeouts.idle)
        }
    }

    private let limits: Limits
    /// Nil while the next step is ours.
    private(set) var instant: NIODeadline?
    /// Whether a body is on its way to us.
    private(set) var isReading = false
    /// Requests whose header was read and whose answer has not been taken by the peer.
    private var unanswered = 0
    private var isBroken = false

    init(_ limits: Limits) {
        self.limits = limits
    }

    mutating func connected(at now: NIODeadline) {
        instant = now + limits.header
    }

    mutating func receivedHead(at now: NIODeadline) {
        isReading = true
        unanswered += 1
        if !isBroken { instant = now + limits.body }
    }

    mutating func receivedEnd() {
        isReading = false
        if !isBroken { instant = nil }
    }

    mutating func beganAnswer(at now: NIODeadline) {
        if !isBroken { instant = now + limits.write }
    }

    /// The peer has taken the last byte of an answer.
    mutating func finishedAnswer(at now: NIODeadline) {
        unanswered = max(0, unanswered - 1)
        if isBroken { return }
        if isReading {
            instant = now + limits.linger
        } else {
            // The next request may be here already, sent without waiting; then the step is ours.
            instant = unanswered == 0 ? now + limits.idle : nil
        }
    }

    /// What came is not HTTP; one answer may follow and then the end.
    mutating func received(brokenAt now: NIODeadline) {
        isBroken = true
        instant = now + limits.linger
    }
}

extension TimeAmount {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
