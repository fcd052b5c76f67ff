import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct NotificationTests {
    @Test func notificationsArriveInOrderAfterTheFirstMarker() async throws {
        try await withScratchDatabase { pool in
            var iterator = pool.notifications(on: "odd \"channel").makeAsyncIterator()
            #expect(await iterator.next() == .reconnected)
            for number in 0..<100 { _ = try await pool.query("select pg_notify('odd \"channel', \("\(number)"))") }
            for number in 0..<100 { #expect(await iterator.next() == .notified(payload: "\(number)")) }
        }
    }

    @Test func aLostConnectionIsMadeAgainAndMarked() async throws {
        try await withScratchDatabase { pool in
            var iterator = pool.notifications(on: "jobs").makeAsyncIterator()
            for round in 0..<3 {
                #expect(await iterator.next() == .reconnected)
                _ = try await pool.query("select pg_notify('jobs', \("\(round)"))")
                #expect(await iterator.next() == .notified(payload: "\(round)"))
                let row = try await pool.query(
                    """
                    select pg_terminate_backend(pid, 5000) as done from pg_stat_activity
                    where datname = current_database() and query like 'listen%'
                    """)[0]
                #expect(try row["done"] == true)
            }
            #expect(await iterator.next() == .reconnected)
        }
    }

    @Test func aSlowListenerIsToldThatItMissedSome() async throws {
        try await withScratchDatabase { pool in
            var iterator = pool.notifications(on: "jobs").makeAsyncIterator()
            #expect(await iterator.next() == .reconnected)
            _ = try await pool.query("select pg_notify('jobs', n::text) from generate_series(1, 3000) n")
            var events: [Postgres.Notification] = []
            while events.last != .notified(payload: "3000"), let event = await iterator.next() { events.append(event) }
            #expect(events.contains(.reconnected) || events.count == 3000)
        }
    }

    @Test func cancellingEndsTheSequence() async throws {
        try await withScratchDatabase { pool in
            let (started, start) = AsyncStream.makeStream(of: Void.self)
            let task = Task {
                var count = 0
                for await _ in pool.notifications(on: "jobs") {
                    count += 1
                    start.yield()
                }
                return count
            }
            _ = await started.first { _ in true }
            task.cancel()
            #expect(await task.value == 1)
        }
    }

    @Test func shuttingThePoolDownEndsTheSequence() async throws {
        try await withScratchDatabase { pool in
            var iterator = pool.notifications(on: "jobs").makeAsyncIterator()
            #expect(await iterator.next() == .reconnected)
            let waiting = Task { [iterator] in
                var iterator = iterator
                return await iterator.next()
            }
            await pool.shutDown()
            #expect(await waiting.value == nil)
        }
    }

    @Test func aChannelHeardOnABorrowedConnectionIsLeftBehind() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            try await pool.withConnection { connection in
                try await connection.listen("jobs")
                _ = try await connection.query("notify jobs, 'here'")
                let heard = try await connection.nextNotification()
                #expect(heard?.payload == "here")
                #expect(heard?.channel == "jobs")
            }
            #expect(try await pool.query("select pg_listening_channels()").isEmpty)
        }
    }
}
