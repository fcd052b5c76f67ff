import CLibPQ
import OwnerThread
import Synchronization

/// A transaction as its connection knows it.
struct TransactionScope: Sendable {
    let id: UInt64
    /// The BEGIN that travels with the first statement.
    let opening: String
}

/// Transactions and savepoints: statements of ours that wait for the next round trip.
extension PostgresConnection {
    /// Makes sure that the transaction is the one that is open; the first call opens it.
    func enter(_ new: TransactionScope) throws(PostgresError) {
        guard let scope else {
            guard new.id > lastEndedScope else { throw PostgresError(.misuse, "the transaction has ended") }
            guard let raw = handle?.raw, PQtransactionStatus(raw) == PQTRANS_IDLE else {
                throw PostgresError(.misuse, "a statement has opened a transaction on this connection")
            }
            self.scope = new.id
            deferred.append(.begin(new.opening))
            return
        }
        guard scope == new.id else { throw PostgresError(.misuse, "another transaction is open on this connection") }
        guard let raw = handle?.raw else { return }
        if PQtransactionStatus(raw) == PQTRANS_IDLE, deferred.first != .begin(new.opening) {
            throw PostgresError(.misuse, "a statement has ended the transaction")
        }
    }

    /// Whether the transaction has sent anything.
    private func hasBegun(_ scope: TransactionScope) -> Bool {
        self.scope == scope.id && deferred.first != .begin(scope.opening)
    }

    private func end(_ scope: TransactionScope) {
        lastEndedScope = max(lastEndedScope, scope.id)
        guard self.scope == scope.id else { return }
        self.scope = nil
        deferred = []
        savepoints = []
        let isIdle = handle?.transactionStatus == PQTRANS_IDLE
        if closeReason == nil, isIdle, running == nil, queue.isEmpty, channels.isEmpty {
            condition.store(.clean, ordering: .releasing)
        }
    }

    /// Takes a statement whose answer nobody needs; it goes ahead of the next exchange of the transaction.
    func enqueue(_ sql: SQL, in scope: TransactionScope) throws(PostgresError) {
        if let closeReason { throw closeReason }
        try Self.validate(sql)
        try enter(scope)
        deferred.append(.statement(sql))
    }

    /// Commits, and closes the scope.
    ///
    /// Not cancellable once it is sent, unless statements that were put off travel with it: those may wait for locks.
    func commit(_ scope: TransactionScope) async throws {
        // A body that ran nothing has nothing to commit.
        guard hasBegun(scope) || hasEnqueued() else { return end(scope) }
        let answer: Rows
        do {
            answer = try await perform(.control(["commit"]), in: scope, isShielded: !hasEnqueued()).last ?? Rows()
        } catch var error as PostgresError {
            if closeReason != nil, !error.isUnsent { error.isCommitUnknown = true }
            if closeReason == nil { await rollback(scope) } else { end(scope) }
            throw error
        }
        end(scope)
        if answer.command == "ROLLBACK" {
            throw PostgresError(
                .transactionAborted, "a statement of the transaction had failed, so the commit rolled everything back")
        }
    }

    /// Rolls back, and closes the scope. A connection that cannot even do that is closed, which has the same effect.
    func rollback(_ scope: TransactionScope) async {
        defer { end(scope) }
        guard hasBegun(scope), closeReason == nil else { return }
        let limit = threads.owner.schedule(after: .seconds(5)) { [weak self] in
            self?.assumeIsolated { $0.close(PostgresError(.connectionLost, "the server did not roll back in time")) }
        }
        defer { threads.owner.cancel(limit) }
        // Nothing that waits for the next round trip matters any more.
        deferred = []
        do {
            _ = try await perform(.control(["rollback"]), isShielded: true)
        } catch {
            close(PostgresError(.connectionLost, "a transaction could not be rolled back", underlying: error))
        }
    }

    /// Sets a savepoint before the next statement.
    func openSavepoint(_ name: String, in scope: TransactionScope) throws(PostgresError) {
        if let closeReason { throw closeReason }
        try enter(scope)
        deferred.append(.savepoint(name))
    }

    /// Keeps what was done since the savepoint; what was put off since then is done first, so that it can still be undone.
    func releaseSavepoint(_ name: String, in scope: TransactionScope) async throws {
        if let closeReason { throw closeReason }
        try enter(scope)
        if hasEnqueued(since: name) { _ = try await perform(.control([]), in: scope) }
        if dropUnsent(name) { return }
        guard let raw = handle?.raw, PQtransactionStatus(raw) != PQTRANS_INERROR else {
            throw PostgresError(
                .transactionAborted, "a statement since the savepoint had failed, and its error was not passed on")
        }
        savepoints.remove(name)
        deferred.append(.release(name))
    }

    /// Undoes what was done since the savepoint.
    ///
    /// A savepoint that the server never set, because something that was put off before it had failed, is left alone: what
    /// failed is not its own, and whoever is outside has to undo it.
    func rollbackSavepoint(_ name: String, in scope: TransactionScope) {
        guard closeReason == nil, self.scope == scope.id, !dropUnsent(name) else { return }
        deferred = []
        guard savepoints.remove(name) != nil else { return }
        deferred = [.rollback(name), .release(name)]
    }

    /// Forgets a savepoint that never reached the server, with everything deferred after it.
    private func dropUnsent(_ name: String) -> Bool {
        guard let index = deferred.lastIndex(of: .savepoint(name)) else { return false }
        deferred.removeSubrange(index...)
        return true
    }

    /// Whether statements of the caller wait, of those since a savepoint or of all.
    private func hasEnqueued(since name: String? = nil) -> Bool {
        let start = name.flatMap { deferred.lastIndex(of: .savepoint($0)) } ?? deferred.startIndex
        return deferred[start...].contains { if case .statement = $0 { true } else { false } }
    }
}
