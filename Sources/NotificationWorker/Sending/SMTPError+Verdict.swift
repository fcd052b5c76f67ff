import Transport
import WorkerRuntime

/// What a failed send says about the mail server as a whole, as against the one message.
extension SMTPError {
    /// Whether the server served us at all. A refusal of this sender-recipient pair or this content is service; 421 and
    /// silence are none, and neither is a server that will have nothing of ours (wrong credentials, refused sender).
    func verdict(isShuttingDown: Bool) -> CircuitBreaker.Verdict {
        switch self.class {
        case .permanent: .answered
        case .configuration, .ambiguous: .failed
        case .transient(let code): code == 0 || code == 421 || isBeforeMessage ? .failed : .answered
        // Cut off by the handler's time limit: the server had all that time. By the drain: it had not.
        case .cancelled: isShuttingDown ? .unknown : .failed
        }
    }

    /// Whether the server had heard nothing of the message yet, so that the message cannot be to blame.
    var isBeforeMessage: Bool { stage < .mailFrom }

    /// A short class for the breaker's report.
    var breakerCode: String {
        replyCode == 0 ? "smtp.\(stage.rawValue)" : "smtp.\(replyCode)"
    }
}
