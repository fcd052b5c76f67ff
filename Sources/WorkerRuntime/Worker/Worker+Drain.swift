import AMQP
import Foundation
import Logging
import Messaging
import Metrics
import Persistence
import Synchronization

/// A worker's signs of life, and its end.
extension Worker {
    func reportAlive() async {
        while !Task.isCancelled {
            await report(isStopping: false)
            inFlight.record(inHand.totals.inHand)
            await mustReport.wait(upTo: configuration.heartbeatInterval)
        }
    }

    private func report(isStopping: Bool) async {
        let identity = Workers.Identity(
            id: configuration.id, role: configuration.role, host: host,
            pid: ProcessInfo.processInfo.processIdentifier, version: configuration.version)
        do {
            try await Workers.report(identity, counts, isStopping: isStopping, on: pool)
            for dependency in dependencies where !isStopping {
                try await Breakers.report(dependency.report, worker: configuration.id, on: pool)
            }
            if isStopping, !dependencies.isEmpty { try await Breakers.remove(worker: configuration.id, on: pool) }
        } catch {
            logger.debug("heartbeat not written", metadata: [LogKey.errorDetail: "\(error)"])
        }
    }

    /// - Parameter waiting: whether work may end by itself. If not, everything around the worker is ending too, and what
    ///   cannot be moved within a second is given back.
    func drain(waiting: Bool) async {
        let start = ContinuousClock.now
        let deadline = start + (waiting ? configuration.drainDeadline : min(configuration.drainDeadline, .seconds(1)))
        isStopping.set()
        let before = inHand.totals
        logger.info("worker stops", metadata: [LogKey.count: "\(before.inHand)"])
        await within(waiting ? configuration.cancelAfter : .zero) { [self] in
            await consumer.stopTaking()
            await inHand.isDrained.wait()
        }
        tasks.cancelAll()
        await within(deadline - .now) { [self] in
            // A take that was cancelled left the consumer's buffer as it was.
            await consumer.stopTaking()
            while true {
                let rest = await consumer.nextBatch(upTo: 1_000)
                if rest.isEmpty { break }
                await settleUnstarted(admitUnstarted(rest))
            }
            await inHand.isDrained.wait()
        }
        let receipt = makeReceipt(since: start, before: before)
        self.receipt.withLock { $0 = receipt }
        await within(min(.seconds(1), deadline - .now)) {
            await self.report(isStopping: true)
            await self.store(receipt)
        }
        logger.notice(
            "worker stopped",
            metadata: [
                "drain.in_hand": "\(receipt.inHand)", "drain.finished": "\(receipt.finished)",
                "drain.postponed": "\(receipt.postponed)", "drain.returned": "\(receipt.returned)",
                "drain.left": "\(receipt.left)", "drain.ms": "\(receipt.milliseconds)",
            ])
    }

    private func makeReceipt(since start: ContinuousClock.Instant, before: InHand.Totals) -> DrainReceipt {
        let after = inHand.totals
        var receipt = DrainReceipt(worker: configuration.id, role: configuration.role)
        receipt.finished = after.finished - before.finished
        receipt.postponed = after.postponed - before.postponed
        receipt.returned = after.returned - before.returned
        receipt.left = after.inHand
        receipt.inHand = receipt.finished + receipt.postponed + receipt.returned + receipt.left
        receipt.deliveryCountsBurned = receipt.returned + receipt.left
        receipt.milliseconds = Int((ContinuousClock.now - start) / .milliseconds(1))
        return receipt
    }

    private func store(_ receipt: DrainReceipt) async {
        do {
            try await DrainReceipts.insert(
                DrainReceipts.Receipt(
                    worker: receipt.worker, role: receipt.role, stoppedAt: Date(), inHand: receipt.inHand,
                    finished: receipt.finished, postponed: receipt.postponed, returned: receipt.returned,
                    left: receipt.left, milliseconds: receipt.milliseconds), on: pool)
        } catch {
            logger.info("drain receipt not stored", metadata: [LogKey.errorDetail: "\(error)"])
        }
    }

    /// Takes the consumer's rest into the books.
    private func admitUnstarted(_ deliveries: [Delivery]) -> [Job] {
        inHand.take(deliveries.count)
        return deliveries.compactMap { delivery in
            do {
                return Job(delivery: delivery, envelope: try Envelope(delivery, now: Date()), takenAt: .now)
            } catch {
                let failure = Failure(code: "envelope", detail: "\(error)")
                tasks.start { await self.settleUndecodable(delivery, failure, takenAt: .now) }
                return nil
            }
        }
    }

    /// Waits for something, but no longer than `limit`, whether or not it lets itself be cancelled.
    private func within(_ limit: Duration, _ work: @escaping @Sendable () async -> Void) async {
        guard limit > .zero else { return }
        let isOver = Signal(isSticky: true)
        let task = Task {
            await work()
            isOver.notify()
        }
        await isOver.wait(upTo: limit)
        task.cancel()
    }
}
