package import AMQP
package import Foundation
package import Messaging
package import Persistence

/// How a publish fails. (An alias, because the compiler takes an error that only a closure throws for no use of its import.)
package typealias PublishFailure = PublishError

/// Everything that the ingress asks of the rest of the system. It keeps no state of its own beside caches.
package struct IngressDependencies: Sendable {
    /// Publishes and returns once the broker has confirmed. It must fail rather than wait when its window is full, and
    /// end within a few seconds whatever the broker does.
    package var publish: @Sendable (OutgoingMessage) async throws(PublishFailure) -> Void
    /// As `publish`, for callers without a task: calls back once, from any thread, with the error if there is one.
    package var publishThen: @Sendable (OutgoingMessage, @escaping @Sendable (PublishFailure?) -> Void) -> Void
    /// Told of each message that was published, after its confirm and before its sender is answered; must not block.
    package var note: @Sendable (OutgoingMessage) -> Void
    /// Whether a publish has a chance now. False saves the attempt: commands then go to the spool in the transaction of
    /// their operation.
    package var isBrokerReady: @Sendable () -> Bool
    /// Stores a message for the relay; the same message id a second time adds nothing.
    package var spool: @Sendable (OutgoingMessage) async throws -> Void
    package var operations: any OperationStore
    package var reads: any ScheduleReads
    package var replays: any ReplayCampaignStore
    package var letters: any LetterStore
    package var configuration: any ConfigurationStore
    package var accounts: any AccountStore
    /// Looks up a key by the SHA-256 digest of its whole text and notes its use; nil if there is none.
    package var findApiKey: @Sendable (_ digest: [UInt8]) async throws -> ApiKey?
    package var probes: Probes
    package var now: @Sendable () -> Date

    /// - Parameter publishThen: nil has it done by a task and `publish`.
    package init(
        publish: @escaping @Sendable (OutgoingMessage) async throws(PublishFailure) -> Void,
        publishThen: (@Sendable (OutgoingMessage, @escaping @Sendable (PublishFailure?) -> Void) -> Void)? = nil,
        note: @escaping @Sendable (OutgoingMessage) -> Void = { _ in },
        isBrokerReady: @escaping @Sendable () -> Bool = { true },
        spool: @escaping @Sendable (OutgoingMessage) async throws -> Void,
        operations: any OperationStore, reads: any ScheduleReads,
        replays: any ReplayCampaignStore, letters: any LetterStore,
        configuration: any ConfigurationStore, accounts: any AccountStore,
        findApiKey: @escaping @Sendable (_ digest: [UInt8]) async throws -> ApiKey?, probes: Probes = Probes(),
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.publish = publish
        self.publishThen =
            publishThen ?? { message, completion in
                Task {
                    do throws(PublishFailure) {
                        try await publish(message)
                        completion(nil)
                    } catch {
                        completion(error)
                    }
                }
            }
        self.note = note
        self.isBrokerReady = isBrokerReady
        self.spool = spool
        self.operations = operations
        self.reads = reads
        self.replays = replays
        self.letters = letters
        self.configuration = configuration
        self.accounts = accounts
        self.findApiKey = findApiKey
        self.probes = probes
        self.now = now
    }
}
