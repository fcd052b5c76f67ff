import OwnerThread

/// The threads that some connections share: one that owns their sockets, one for requests to cancel, and one that looks
/// host names up.
///
/// `PQcancel` and the resolver wait, so they must not run where other connections wait for their answers, nor where the
/// other one does. Their threads start when first needed. All end when the last connection and the pool have let go.
final class PostgresThreads: Sendable {
    let owner: OwnerThread
    let canceller: OwnerThread
    let resolver: OwnerThread
    let lookUp: HostNames.Lookup
    /// For tasks that do little else than talk to the connections.
    let tasks: OwnerThreadTasks

    init(name: String = "postgres", lookUp: @escaping HostNames.Lookup = HostNames.system) {
        self.lookUp = lookUp
        owner = OwnerThread(name: name)
        tasks = OwnerThreadTasks(owner)
        canceller = OwnerThread(name: "\(name.prefix(8))-cancel")
        resolver = OwnerThread(name: "\(name.prefix(8))-names")
    }

    deinit {
        owner.stop()
        canceller.stop()
        resolver.stop()
    }
}
