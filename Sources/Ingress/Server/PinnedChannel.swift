import HummingbirdCore
import Logging
import NIOCore

/// A connection whose task runs on its event loop and whose socket is closed when the task is cancelled.
struct PinnedChannel<Base: ServerChildChannel>: ServerChildChannel {
    typealias Value = Base.Value

    private let base: Base
    private let executors: [ObjectIdentifier: EventLoopExecutor]

    init(_ base: Base, on group: any EventLoopGroup) {
        self.base = base
        var executors: [ObjectIdentifier: EventLoopExecutor] = [:]
        for eventLoop in group.makeIterator() {
            executors[ObjectIdentifier(eventLoop)] = EventLoopExecutor(eventLoop)
        }
        self.executors = executors
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        base.setup(channel: channel, logger: logger)
    }

    func handle(value: Value, logger: Logger) async {
        let executor = executors[ObjectIdentifier(value.channel.eventLoop)]
        await withTaskCancellationHandler {
            await withTaskExecutorPreference(executor) {
                await base.handle(value: value, logger: logger)
            }
        } onCancel: {
            value.channel.close(mode: .all, promise: nil)
        }
    }
}
