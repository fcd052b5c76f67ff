import Messaging

/// What a handler says should happen to the message it was given.
///
/// The runtime commits the handler's transaction for `done` and `ignored`, and rolls it back for everything else.
package enum Outcome: Hashable, Sendable {
    /// The effect is in the transaction.
    case done
    /// There was nothing to do, such as a late copy of old news. The message counts as handled.
    case ignored(reason: String)
    /// It may work later. A code that ends in `.ambiguous` says that the effect may have happened all the same. Spends an attempt; waits for the policy's tier, or a longer one if `after` asks for it.
    case retry(code: String, detail: String, after: Duration? = nil)
    /// It will never work.
    case deadLetter(code: String, detail: String)
    /// It was not really tried, for a reason of ours. Spends no attempt.
    case release(reason: String)

    /// A replayed message whose campaign is being recalled at this moment.
    static let recallUnderWay = Outcome.release(reason: "its replay campaign is being recalled")

    /// Whether the handler's transaction is to be committed.
    var isCommitted: Bool {
        switch self {
        case .done, .ignored: true
        case .retry, .deadLetter, .release: false
        }
    }

    /// Whether it is certain that the effect has not happened.
    var isWithoutEffect: Bool {
        switch self {
        case .done, .ignored: false
        case .retry(let code, _, _), .deadLetter(let code, _): !code.hasSuffix(".ambiguous")
        case .release: true
        }
    }
}

/// Why a job came to nothing: a short class for counting and grouping, and words for a person.
package struct Failure: Hashable, Sendable {
    /// Such as `db.40001`, `smtp.451` or `timeout`; never holds data of a message.
    package var code: String
    /// Safe to log; capped at 500 bytes.
    package var detail: String

    package init(code: String, detail: String) {
        self.code = code
        self.detail = detail.cappedUTF8(to: 500)
    }
}
