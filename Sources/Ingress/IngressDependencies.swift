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
    /// Whether a publish has a chance now. False saves the attempt: commands then go to the spool in the transaction of
    /// their operation.
    package var isBrokerReady: @Sendable () -> Bool
    /// Stores a message for the relay; the same message id a second time adds nothing.
    package var spool: @Sendable (OutgoingMessage) async throws -> Void
    package var operations: any OperationStore
    package var reads: any ScheduleReads
    package var replays: any ReplayCampaignStore
    package var letters: any LetterStore
    /// Looks up a key by the SHA-256 digest of its whole text and notes its use; nil if there is none.
    package var findApiKey: @Sendable (_ digest: [UInt8]) async throws -> ApiKey?
    package var probes: Probes
    package var now: @Sendable () -> Date

    package init(
        publish: @escaping @Sendable (OutgoingMessage) async throws(PublishFailure) -> Void,
        isBrokerReady: @escaping @Sendable () -> Bool = { true },
        spool: @escaping @Sendable (OutgoingMessage) async throws -> Void,
        operations: any OperationStore, reads: any ScheduleReads,
        replays: any ReplayCampaignStore, letters: any LetterStore,
        findApiKey: @escaping @Sendable (_ digest: [UInt8]) async throws -> ApiKey?, probes: Probes = Probes(),
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.publish = publish
        self.isBrokerReady = isBrokerReady
        self.spool = spool
        self.operations = operations
        self.reads = reads
        self.replays = replays
        self.letters = letters
        self.findApiKey = findApiKey
        self.probes = probes
        self.now = now
    }
}
