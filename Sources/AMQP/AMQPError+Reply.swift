import CRabbitMQ

extension AMQPError {
    /// What the broker closed to report an error.
    enum Closed { case login, connection, channel }

    /// An error reply of the broker (AMQP 0-9-1 section 1.7).
    init(replyCode: UInt16, text: String, of closed: Closed) {
        let code: Code =
            switch (replyCode, closed) {
            case (403, .login): .authenticationRefused
            case (530, .login): .virtualHostRefused
            case (403, _): .accessRefused
            case (404, _): .notFound
            case (405, _): .resourceLocked
            case (406, _): .preconditionFailed
            case (320, _): .closedByBroker
            case (501...505, _): .protocolViolation
            default: .refused
            }
        self.init(code, text, replyCode: replyCode)
    }

    /// A status of the library, and what was being done.
    init(status: CInt, _ doing: String) {
        let text = "\(String(cString: amqp_error_string2(status))) (\(doing))"
        let code: Code =
            switch amqp_status_enum(status) {
            case AMQP_STATUS_TIMEOUT: .timedOut
            case AMQP_STATUS_HEARTBEAT_TIMEOUT: .peerSilent
            case AMQP_STATUS_BAD_AMQP_DATA, AMQP_STATUS_UNKNOWN_CLASS, AMQP_STATUS_UNKNOWN_METHOD,
                AMQP_STATUS_UNEXPECTED_STATE, AMQP_STATUS_WRONG_METHOD:
                .protocolViolation
            default: .connectionLost
            }
        self.init(code, text)
    }
}
