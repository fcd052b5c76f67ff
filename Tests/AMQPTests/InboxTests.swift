import OwnerThread
import Testing

@testable import AMQP

@Suite(.timeLimit(.minutes(1))) struct InboxTests {
    private func delivery(_ queue: String, _ tag: UInt64) -> Delivery {
        Delivery(
            queue: queue, consumerTag: queue, deliveryTag: tag, epoch: 1, isRedelivered: false, exchange: "",
            routingKey: queue, properties: BasicProperties(), body: [])
    }

    @Test func whatIsUrgentOvertakesWhatWasPrefetched() async {
        let inbox = Inbox(thread: OwnerThread(name: "inbox-test"), urgentQueues: ["urgent"])
        inbox.offer((1...4).map { delivery("work", $0) })
        inbox.offer([delivery("urgent", 5), delivery("work", 6), delivery("urgent", 7)])
        #expect(await inbox.take(3).map(\.deliveryTag) == [5, 7, 1])
        inbox.offer([delivery("urgent", 8)])
        #expect(await inbox.take(10).map(\.deliveryTag) == [8, 2, 3, 4, 6])
    }

    @Test func whatIsUrgentCanBeTakenByItselfAndIsNotWaitedFor() {
        let inbox = Inbox(thread: OwnerThread(name: "inbox-test"), urgentQueues: ["urgent"])
        #expect(inbox.takeUrgent(5).isEmpty)
        inbox.offer([delivery("work", 1), delivery("urgent", 2), delivery("urgent", 3), delivery("urgent", 4)])
        #expect(inbox.takeUrgent(2).map(\.deliveryTag) == [2, 3])
        #expect(inbox.takeUrgent(2).map(\.deliveryTag) == [4])
        #expect(inbox.takeUrgent(2).isEmpty)
    }

    @Test func withoutAnUrgentQueueTheOrderIsTheBrokers() async {
        let inbox = Inbox(thread: OwnerThread(name: "inbox-test"), urgentQueues: [])
        inbox.offer([delivery("work", 1), delivery("urgent", 2), delivery("work", 3)])
        #expect(await inbox.take(2).map(\.deliveryTag) == [1, 2])
        inbox.drop()
        inbox.finish()
        #expect(await inbox.take(1).isEmpty)
    }
}
