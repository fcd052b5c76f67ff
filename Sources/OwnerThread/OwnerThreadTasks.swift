/// Runs tasks on an owner thread, beside the actors that live there.
///
/// A task that mostly talks to actors of one thread runs there itself: a call and its answer then are two entries in the
/// thread's queue instead of two wake-ups of other threads, which on a small machine cost more than the work. Such tasks
/// must not block, and what they compute keeps the thread from its sockets.
package final class OwnerThreadTasks: TaskExecutor {
    private let thread: OwnerThread

    package init(_ thread: OwnerThread) {
        self.thread = thread
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        unsafe thread.enqueue(UnownedJob(job), on: asUnownedTaskExecutor())
    }
}
