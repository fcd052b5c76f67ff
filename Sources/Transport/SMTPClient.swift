package import Logging

/// Hands messages to one mail server over at most a few kept connections.
package final class SMTPClient: Sendable {
    private let configuration: SMTPConfiguration
    private let logger: Logger
    private let connections: SMTPConnectionPool

    /// Makes a client; nothing is started before the first message.
    ///
    /// Every connection has a thread of its own, because libcurl 7.88 waits inside one call for the reply to the final
    /// dot: on a shared thread one slow server-side filter would stall every other message.
    ///
    /// - Parameter maxConnections: messages past it wait in line for a connection, first come, first served; a caller's
    ///   own deadline (by cancellation) bounds that wait.
    package init(configuration: SMTPConfiguration, maxConnections: Int = 2, logger: Logger) {
        precondition(maxConnections > 0, "a client without connections would wait for ever")
        self.configuration = configuration
        self.logger = logger
        connections = SMTPConnectionPool(count: maxConnections)
    }

    /// Hands over one message and gives the server's acceptance.
    ///
    /// A kept connection that turns out to be dead before the message was complete is replaced once, unseen by the
    /// caller. Nothing else is repeated here.
    ///
    /// Cancelling the task ends the transfer at once (within a second while the reply to the final dot is awaited). After
    /// the final dot a cancellation is reported as `ambiguous`, not as `cancelled`.
    package func send(_ mail: Mail, checkpoint: (any SMTPCheckpoint)? = nil) async throws(SMTPError) -> SMTPReceipt {
        let message = mail.rendered()
        return try await transfer {
            SMTPTransfer(.message(mail, message), $0, $1, checkpoint: checkpoint)
        }
    }

    /// Hands over several mails at once, as many at a time as there are connections; the results are in their order.
    package func send(_ mails: [Mail], checkpoint: (any SMTPCheckpoint)? = nil) async -> [SMTPDelivery] {
        await withTaskGroup(of: (Int, SMTPDelivery).self) { group in
            for (index, mail) in mails.enumerated() {
                group.addTask {
                    let result: Result<SMTPReceipt, SMTPError>
                    do throws(SMTPError) {
                        result = .success(try await self.send(mail, checkpoint: checkpoint))
                    } catch {
                        result = .failure(error)
                    }
                    return (index, SMTPDelivery(recipient: mail.to, messageID: mail.messageID, result: result))
                }
            }
            var deliveries = [SMTPDelivery?](repeating: nil, count: mails.count)
            for await (index, delivery) in group { deliveries[index] = delivery }
            return deliveries.compactMap { $0 }
        }
    }

    /// Connects, secures the connection, authenticates and says NOOP: all but a message.
    package func check() async throws(SMTPError) {
        _ = try await transfer { SMTPTransfer(.check, $0, $1, checkpoint: nil) }
    }

    /// Ends what is under way (as `cancelled`, or `ambiguous` past the final dot), says goodbye and ends the threads.
    package func close() async {
        await connections.close()
    }

    private func transfer(
        _ make: @escaping @Sendable (SMTPConfiguration, [CancellationFlag]) -> SMTPTransfer
    ) async throws(SMTPError) -> SMTPReceipt {
        guard let connection = await connections.take() else {
            throw SMTPError(
                class: .cancelled, stage: .connect, message: "cancelled or closed while waiting for a connection")
        }
        defer { connections.give(back: connection) }
        let flag = CancellationFlag()
        let flags = [flag, connections.closing]
        let configuration = configuration
        var outcome = await connection.run(cancellation: flag) { make(configuration, flags) }
        if outcome.mayBeRepeated, !Task.isCancelled {
            logger.debug("a kept SMTP connection was dead; trying a new one")
            outcome = await connection.run(cancellation: flag) { make(configuration, flags) }
        }
        return try outcome.result.get()
    }
}
