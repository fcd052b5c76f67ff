import NIOCore

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
