import OwnerThread

/// The threads that some connections share: one that owns their sockets, and one for requests to cancel.
///
/// `PQcancel` connects to the server and waits, so it must not run where other connections wait for their answers. Its
/// thread starts with the first cancellation. Both end when the last connection and the pool have let go.
final class PostgresThreads: Sendable {
    let owner: OwnerThread
    let canceller: OwnerThread
    /// For tasks that do little else than talk to the connections.
    let tasks: OwnerThreadTasks

    init(name: String = "postgres") {
        owner = OwnerThread(name: name)
        tasks = OwnerThreadTasks(owner)
        canceller = OwnerThread(name: "\(name.prefix(8))-cancel")
    }

    deinit {
        owner.stop()
        canceller.stop()
    }
}
