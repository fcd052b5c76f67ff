/// Who has which connection and who waits for one: the pool's decisions without its I/O.
///
/// Every method returns what the owner has to do, after it has let go of the lock. Connections are counted from the
/// decision to open them until they are gone, so their number never passes `size`. Waiters are served in the order they
/// came; an idle connection goes to a newcomer only when nobody waits.
struct PoolState<Connection: AnyObject, Waiter> {
    typealias WaiterID = UInt64

    enum Action {
        case resume(Waiter, Connection)
        case fail(Waiter, any Error)
        /// Open one more connection; `connected` or `connectFailed` follows.
        case connect
        /// Call `retryConnecting` after a pause; the number of failures in a row decides how long.
        case retryLater(failures: Int)
        /// Bring a connection back to a clean state; `restored` or `closed` follows.
        case restore(Connection)
        case close(Connection)
        /// Nothing is out any more, and the pool is shutting down.
        case drained
    }

    let size: Int
    /// Free connections; the last one in is the first one out, which keeps few connections warm.
    private(set) var idle: [Connection] = []
    /// Connections with a caller.
    private(set) var leased: [ObjectIdentifier: Connection] = [:]
    /// Connections that are being cleaned or checked.
    private(set) var restoring: [ObjectIdentifier: Connection] = [:]
    private(set) var connectingCount = 0
    private(set) var isShutDown = false

    private var waiters: [(id: WaiterID, waiter: Waiter)] = []
    /// Waiters that were cancelled before they began to wait.
    private var cancelledEarly: Set<WaiterID> = []
    private var failures = 0
    private var isRetryScheduled = false
    private(set) var lastFailure: PostgresError?

    init(size: Int) {
        precondition(size > 0, "a pool needs at least one connection")
        self.size = size
    }

    var waiterCount: Int { waiters.count }
    var connectionCount: Int { idle.count + leased.count + restoring.count + connectingCount }

    // MARK: Borrowing

    /// A free connection, if nobody has to wait for one.
    mutating func lease() -> Connection? {
        guard !isShutDown, waiters.isEmpty, let connection = idle.popLast() else { return nil }
        leased[ObjectIdentifier(connection)] = connection
        return connection
    }

    mutating func wait(_ id: WaiterID, _ waiter: Waiter) -> [Action] {
        if cancelledEarly.remove(id) != nil { return [.fail(waiter, CancellationError())] }
        if isShutDown { return [.fail(waiter, Self.shutDownError)] }
        if let connection = lease() { return [.resume(waiter, connection)] }
        waiters.append((id, waiter))
        return connectIfNeeded()
    }

    mutating func cancel(_ id: WaiterID) -> [Action] {
        guard let waiter = remove(id) else {
            cancelledEarly.insert(id)
            return []
        }
        return [.fail(waiter, CancellationError())]
    }

    /// The waiter's call is over, so a cancellation that came too late need not be remembered.
    mutating func forget(_ id: WaiterID) {
        cancelledEarly.remove(id)
    }

    /// A waiter has waited for long enough.
    mutating func timeOut(_ id: WaiterID) -> [Action] {
        guard let waiter = remove(id) else { return [] }
        // If there is no connection at all, the cause is more use than the symptom.
        if connectionCount == connectingCount, let lastFailure { return [.fail(waiter, lastFailure)] }
        let error = PostgresError(
            .poolTimeout, "no connection came free in time (\(leased.count) of \(size) in use)", underlying: lastFailure
        )
        return [.fail(waiter, error)]
    }

    // MARK: Coming back

    /// A caller is done.
    mutating func release(_ connection: Connection, _ condition: PostgresConnection.Condition) -> [Action] {
        guard leased.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return [] }
        switch condition {
        case .closed: return connectIfNeeded() + drainedIfSo()
        case .clean: return provide(connection)
        case .dirty, .connecting:
            restoring[ObjectIdentifier(connection)] = connection
            return [.restore(connection)]
        }
    }

    /// A connection is clean and alive.
    mutating func restored(_ connection: Connection) -> [Action] {
        guard restoring.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return [] }
        return provide(connection)
    }

    /// A connection is gone; those with a caller are counted until they are released.
    mutating func closed(_ connection: Connection) -> [Action] {
        idle.removeAll { $0 === connection }
        restoring[ObjectIdentifier(connection)] = nil
        return connectIfNeeded() + drainedIfSo()
    }

    private mutating func provide(_ connection: Connection) -> [Action] {
        if isShutDown { return [.close(connection)] + drainedIfSo() }
        guard !waiters.isEmpty else {
            idle.append(connection)
            return []
        }
        leased[ObjectIdentifier(connection)] = connection
        return [.resume(waiters.removeFirst().waiter, connection)]
    }

    // MARK: Connecting

    mutating func connected(_ connection: Connection) -> [Action] {
        connectingCount -= 1
        failures = 0
        lastFailure = nil
        return provide(connection)
    }

    mutating func connectFailed(_ error: PostgresError) -> [Action] {
        connectingCount -= 1
        failures += 1
        lastFailure = error
        if isShutDown { return drainedIfSo() }
        if !error.isRetriable, connectionCount == connectingCount {
            // A wrong password does not heal while one waits.
            let failed = waiters
            waiters = []
            return failed.map { .fail($0.waiter, error) }
        }
        guard !waiters.isEmpty, !isRetryScheduled else { return [] }
        isRetryScheduled = true
        return [.retryLater(failures: failures)]
    }

    mutating func retryConnecting() -> [Action] {
        isRetryScheduled = false
        return connectIfNeeded()
    }

    private mutating func connectIfNeeded() -> [Action] {
        guard !isShutDown, !isRetryScheduled, connectingCount < waiters.count, connectionCount < size else { return [] }
        connectingCount += 1
        return [.connect] + connectIfNeeded()
    }

    // MARK: Health and shutdown

    /// Takes the idle connections aside to be checked.
    mutating func checkIdle() -> [Action] {
        let checked = idle
        idle = []
        for connection in checked { restoring[ObjectIdentifier(connection)] = connection }
        return checked.map { .restore($0) }
    }

    /// Hands out no more; what is idle goes now, the rest when it comes back.
    mutating func shutDown() -> [Action] {
        guard !isShutDown else { return drainedIfSo() }
        isShutDown = true
        let actions: [Action] =
            waiters.map { .fail($0.waiter, Self.shutDownError) } + idle.map { .close($0) }
        waiters = []
        idle = []
        return actions + drainedIfSo()
    }

    private func drainedIfSo() -> [Action] {
        isShutDown && connectionCount == 0 ? [.drained] : []
    }

    private mutating func remove(_ id: WaiterID) -> Waiter? {
        guard let index = waiters.firstIndex(where: { $0.id == id }) else { return nil }
        return waiters.remove(at: index).waiter
    }

    static var shutDownError: PostgresError { PostgresError(.closed, "the pool has been shut down") }
}
