import CLibPQ
import OwnerThread

/// Cancelling what runs.
extension PostgresConnection {
    /// How long a cancelled statement may take to end before the connection is given up.
    private static let drainLimit = Duration.seconds(5)

    /// The task of a job was cancelled.
    ///
    /// The request and the job are both handled on this thread, so the job is either waiting, running, over, or not here
    /// yet; in that case `submit` finds its task cancelled.
    func cancel(_ id: UInt64) {
        if let index = queue.firstIndex(where: { $0.id == id }) {
            queue.remove(at: index).completion(.failure(CancellationError()))
        } else if running?.job.id == id {
            running?.job.isCancelled = true
            requestCancel()
        }
    }

    /// Asks the server to cancel, from the helper thread.
    ///
    /// Until the request has come back no other job is sent: it could hit that one.
    func requestCancel() {
        guard !isCancelInFlight, let raw = handle?.raw, let ticket = CancelTicket(connection: raw) else { return }
        isCancelInFlight = true
        if drainDeadline == nil {
            drainDeadline = threads.owner.schedule(after: Self.drainLimit) { [weak self] in
                self?.assumeIsolated { connection in
                    connection.close(PostgresError(.connectionLost, "a cancelled statement did not end"))
                }
            }
        }
        threads.canceller.schedule(after: .zero) { [weak self] in
            ticket.send()
            self?.enter { connection in connection.cancelReturned() }
        }
    }

    private func cancelReturned() {
        isCancelInFlight = false
        if running?.isFinished == true {
            completeExchange()
        } else if running != nil {
            // A request that arrives before the statement has begun is ignored by the server, so it is repeated.
            let id = running?.job.id
            threads.owner.schedule(after: .milliseconds(200)) { [weak self] in
                self?.assumeIsolated { connection in
                    if connection.running?.job.id == id { connection.requestCancel() }
                }
            }
        } else {
            startNext()
        }
    }
}
