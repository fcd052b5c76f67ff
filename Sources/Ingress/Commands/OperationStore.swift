package import Domain
package import Messaging
package import Persistence

/// Where requests to do something are recorded, together with their outcome.
package protocol OperationStore: Sendable {
    /// Records an operation unless it is there already. Its id follows from principal, route and idempotency key.
    ///
    /// - Parameter message: stored in the spool in the same transaction, unless the operation is there and is finished or
    ///   is for another request.
    /// - Returns: nil if it is new, otherwise the operation that was there.
    func begin(_ operation: Operation, spooling message: OutgoingMessage?) async throws -> Operation?
    func find(_ id: OperationID) async throws -> Operation?
    /// Tells of operations as they finish, until the task is cancelled. Nil says that some may have been missed.
    func observeFinished(_ each: @Sendable (OperationID?) -> Void) async
}
