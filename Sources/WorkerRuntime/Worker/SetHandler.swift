package import Messaging

/// A message handler that does the work of several messages together, for less than one after the other would cost.
///
/// Messages that wait are handled as sets of up to the worker's batch size, each set in one transaction. Whatever goes wrong
/// undoes the whole set, and each of its messages is handled by itself, with the function of a `MessageHandler`; so both
/// have to end in the same effects.
package protocol SetHandler<Item>: MessageHandler {
    /// What a message says, read before the transaction begins.
    associatedtype Item: Sendable

    /// Whether messages of a type may be handled together; the others are, one to a lane, as those of any handler.
    func joins(_ type: MessageType) -> Bool

    /// Reads a message of a type that joins.
    ///
    /// - Returns: nil if it cannot be read; it is handled by itself then, and that is its end.
    func item(of envelope: Envelope) -> Item?

    /// What the message is about, as far as it says. Two messages that have something in common are never in one set.
    func subjects(of item: Item) -> Set<String>

    /// Handles messages that were not handled before.
    ///
    /// - Returns: in the order of the members; nil to have each handled by itself.
    func handle(_ members: [SetMember<Item>]) async throws -> [Outcome]?
}

/// A message of a set.
package struct SetMember<Item: Sendable>: Sendable {
    package let item: Item
    package let envelope: Envelope
    package let context: HandlerContext

    package init(item: Item, envelope: Envelope, context: HandlerContext) {
        self.item = item
        self.envelope = envelope
        self.context = context
    }
}
