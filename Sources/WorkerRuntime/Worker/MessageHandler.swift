package import Messaging

/// Does the work of messages whose effects are database rows and further messages, nothing else.
///
/// The runtime opens the transaction, writes the inbox row first, and commits if the outcome is `done` or `ignored`; a
/// message that was handled before never gets here. Everything thrown rolls the effect back: `PostgresError`s that are
/// retriable and unknown errors spend an attempt, a `DecodingError` is dead-lettered as `decode`. A handler may be run
/// again for the same message whenever the transaction did not commit, so it keeps nothing in memory.
package protocol MessageHandler: Sendable {
    func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome
}

/// Does the work of messages whose effects lie outside the database, such as sending mail.
///
/// It manages its own transactions and writes its own inbox row (`Inbox.insert`, consumer = `context.role`), because
/// the right moment depends on the effect. Errors are classified as for a `MessageHandler`.
package protocol EffectHandler: Sendable {
    func handle(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome
}

/// Does the work of messages of both kinds.
package protocol MixedHandler: EffectHandler, MessageHandler {
    /// Whether the effect of a message lies outside the database.
    func hasOutsideEffect(_ envelope: Envelope) -> Bool
}
