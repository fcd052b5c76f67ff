import NIOCore
import NIOPosix
import Synchronization

/// Runs the tasks of a connection on the event loop that owns its socket.
///
/// Without it each part of a request crosses from the event loop to the cooperative pool and its answer back again; on
/// a small machine those crossings cost more than the work. Handlers therefore must not block.
final class EventLoopExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        eventLoop.execute { job.runSynchronously(on: executor) }
    }
}

/// The event loops that servers run on.
enum EventLoops {
    private static let groups = Mutex<[Int: MultiThreadedEventLoopGroup]>([:])

    /// The group with this many threads; nil takes one per core. It lives as long as the process.
    ///
    /// A server does not shut its group down when it ends, because the framework lets go of a closed connection's parts a
    /// little later, and a loop that is gone then would lose what they still have to say.
    static func group(threads: Int?) -> MultiThreadedEventLoopGroup {
        let threads = threads ?? System.coreCount
        return groups.withLock { groups in
            if let group = groups[threads] { return group }
            let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
            groups[threads] = group
            return group
        }
    }
}
