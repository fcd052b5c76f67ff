import AMQP
import Domain
import Foundation
import Logging
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

/// What the journal keeps of a letter, and that nothing but the journal touches the queues.
@Suite(.timeLimit(.minutes(5))) struct JournalTests {
    @Test func aLetterKeepsWhereItCameFromThroughItsRetries() async throws {
        try await Rig.with { rig in
            let running = try await rig.start { _, _ in .retry(code: "smtp.451", detail: "busy at 10:31, try 17") }
            try await DeadLetterTests.withJournal(rig) {
                var message = Rig.message("a").properties
                message.headers["tenant"] = "acme"
                message.headers["width"] = .int16(7)
                message.appID = "their-own"
                try await rig.withConnection { [message] connection in
                    try await connection.publish(
                        Publication(exchange: "commands", routingKey: "job.move", properties: message, body: [0, 255]))
                }
                try await eventually { try await DeadLetterTests.letters(rig).count == 1 }
            }
            try await running.stop()
            let letter = try #require(try await DeadLetterTests.letters(rig).first)
            #expect(letter.originalExchange == "commands" && letter.originalRoutingKey == "job.move")
            #expect(letter.body == [0, 255] && letter.reason == "exhausted" && letter.attempts.count == 4)
            #expect(letter.handler == "work/work" && letter.build == "dev")
            #expect(letter.normalisedError == "busy at <time>, try <n>")
            #expect(letter.attempts.allSatisfy { $0.worker == "work-1" && $0.code == "smtp.451" })
            let replay = try letter.revived()
            #expect(replay.properties.headers["tenant"] == "acme" && replay.properties.headers["width"] == .int16(7))
            #expect(replay.properties.appID == "their-own")
            #expect(replay.properties.headers["death-reason"] == nil && replay.properties.headers["death-build"] == nil)
        }
    }

    @Test func lettersThatAreAlikeMakeOneGroup() async throws {
        try await Rig.with { rig in
            let running = try await rig.start { envelope, _ in
                envelope.id.hasPrefix("x")
                    ? .deadLetter(code: "odd", detail: "no crew")
                    : .deadLetter(code: "fault", detail: "row \(envelope.id.count) of 'Dana' is odd")
            }
            try await DeadLetterTests.withJournal(rig) {
                try await rig.publish("a", "bb", "ccc", "x")
                try await eventually { try await DeadLetterTests.letters(rig).count == 4 }
            }
            try await running.stop()
            let groups = try await DeadLetters.groups(on: rig.pool)
            #expect(groups.map(\.unresolved) == [3, 1] && groups.map(\.letters) == [3, 1])
            #expect(groups[0].normalisedError == "row <n> of <text> is odd" && groups[0].errorCode == "fault")
            #expect(groups[0].handler == "work/work" && groups[0].build == "dev")
            #expect(groups[0].hourly.count == 12 && groups[0].hourly.last == 3 && groups[0].trend == .rising)
            #expect(groups[0].noneSinceBuild == nil)
        }
    }

    @Test func aBuildThatRanAfterTheLastLetterIsNamed() async throws {
        try await Rig.with { rig in
            var letter = DeadLetterTests.letter(queue: "work", messageID: "a")
            letter.handler = "work/work"
            letter.build = "1.0"
            letter.takeFingerprint()
            try await DeadLetters.insert([letter], on: rig.pool)
            func worker(_ version: String, _ started: String) async throws {
                _ = try await rig.pool.query(
                    """
                    insert into workers (id, role, host, pid, version, started_at)
                    values (\(version + started), 'work', 'h', 1, \(version), now() + \(started)::interval)
                    """)
            }
            try await worker("1.0", "-1 hour")
            try await worker("1.0", "1 hour")
            #expect(
                try await DeadLetters.groups(on: rig.pool).first?.noneSinceBuild == nil, "the same build is no news")
            try await worker("1.1", "2 hours")
            try await worker("1.2", "3 hours")
            #expect(try await DeadLetters.groups(on: rig.pool).first?.noneSinceBuild == "1.1")
            // The same error in the new build: not mended after all.
            var again = DeadLetterTests.letter(queue: "work", messageID: "b")
            (again.handler, again.build) = ("work/work", "1.1")
            again.diedAt = Date().addingTimeInterval(4 * 3_600)
            again.takeFingerprint()
            try await DeadLetters.insert([again], on: rig.pool)
            let groups = try await DeadLetters.groups(on: rig.pool)
            #expect(groups.count == 2 && Set(groups.map(\.cause)).count == 1)
            #expect(groups.allSatisfy { $0.noneSinceBuild == nil })
        }
    }

    @Test func lettersOfAnOlderProgramGetTheirFingerprints() async throws {
        try await Rig.with { rig in
            for number in 0..<5 {
                var letter = DeadLetterTests.letter(queue: "work", messageID: "m\(number)")
                (letter.fingerprint, letter.normalisedError, letter.handler) = (nil, nil, nil)
                try await DeadLetters.insert([letter], on: rig.pool)
            }
            #expect(try await DeadLetters.groups(on: rig.pool).isEmpty)
            try await DeadLetterTests.withJournal(rig) {
                try await eventually { try await DeadLetters.groups(on: rig.pool).first?.letters == 5 }
            }
            #expect(try await DeadLetters.fingerprintOlder(on: rig.pool) == 0)
        }
    }

    @Test func aHundredLooksAtTenThousandLettersChangeNoDeliveryCount() async throws {
        try await Rig.with { rig in
            // 10,000 in the journal, and some that still wait in the broker because no journal runs.
            var letter = DeadLetterTests.letter(queue: "work", messageID: "first")
            letter.errorText = "row 1 is odd"
            letter.takeFingerprint()
            try await DeadLetters.insert([letter], on: rig.pool)
            _ = try await rig.pool.query(
                """
                insert into dead_letters
                select (jsonb_populate_record(l, jsonb_build_object(
                    'id', 'dlt_' || lpad(n::text, 26, '0'), 'death_key', n::text, 'message_id', n::text))).*
                from dead_letters l, generate_series(1, 9999) as n
                """)
            try await rig.withConnection { connection in
                for number in 0..<20 {
                    try await connection.publish(
                        Publication(
                            exchange: "dead", routingKey: "work", properties: Rig.message("w\(number)").properties,
                            body: []))
                }
            }
            let first = try #require(try await DeadLetters.list(limit: 1, on: rig.pool).letters.first)
            let rehearsal = LetterRehearsal(pool: rig.pool, handlers: ["work": Succeeding()])
            for look in 0..<100 {
                let groups = try await DeadLetters.groups(on: rig.pool)
                #expect(groups.first?.unresolved == 10_000)
                var filter = DeadLetters.Filter(queue: "work")
                filter.text = look.isMultiple(of: 2) ? "odd" : nil
                #expect(try await DeadLetters.list(filter, limit: 20, on: rig.pool).letters.count == 20)
                #expect(try await DeadLetters.find(first.id, on: rig.pool)?.id == first.id)
                _ = await rehearsal.verdict(on: first, try await LetterFacts.read(for: first, on: rig.pool))
            }
            #expect(try await DeadLetters.ids(matching: DeadLetters.Filter(), on: rig.pool).count == 10_000)
            #expect(try await rig.ready("work.dead") == 20)
            for _ in 0..<20 {
                let delivery = try await rig.receive("work.dead")
                #expect(!delivery.isRedelivered)
                #expect((delivery.properties.headers["x-delivery-count"]?.integer ?? 0) == 0)
            }
        }
    }

    struct Succeeding: MessageHandler {
        func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome { .done }
    }

    @Test func whilePostgreSQLIsAwayLettersWaitInTheBroker() async throws {
        try await Rig.with { rig in
            let configuration = try PostgresConfiguration(
                url: "postgres://nobody@127.0.0.1:1/nowhere", applicationName: "neff-tests")
            let away = PostgresPool(
                configuration: configuration, size: 1, acquireTimeout: .milliseconds(200), logger: .silent)
            let dead = Publication(
                exchange: "dead", routingKey: "work", properties: Rig.message("a").properties, body: [1])
            try await rig.withConnection { try await $0.publish(dead) }
            try await DeadLetterTests.withJournal(rig, pool: away) {
                try await eventually { try await rig.ready("work.dead") == 0 }
            }
            // In its hand, never acknowledged: the broker has it again, and the next journal writes it.
            try await eventually { try await rig.ready("work.dead") == 1 }
            #expect(try await DeadLetterTests.letters(rig).isEmpty)
            try await DeadLetterTests.withJournal(rig) {
                try await eventually { try await DeadLetterTests.letters(rig).count == 1 }
            }
            #expect(try await rig.ready("work.dead") == 0)
            await away.shutDown()
        }
    }
}

@Suite struct HeaderFidelityTests {
    @Test func everyKindOfHeaderComesBackWithItsType() throws {
        let headers: FieldTable = [
            "int8": .int8(-1), "int16": .int16(300), "int32": .int32(-70_000), "int64": .int64(.max),
            "uint8": .uint8(255), "uint16": .uint16(65_535), "uint32": .uint32(.max), "float": .float(1.5),
            "double": .double(0.1), "whole": .double(2), "infinite": .double(.infinity),
            "decimal": .decimal(scale: 2, value: 1_234), "nul": .string("a\0b"), "bytes": .bytes([0, 255]),
            "time": .timestamp(1_800_000_000), "void": .void, "bool": .bool(true),
            "tricky": .table(["$int8": .string("no tag")]), "deep": .array([.table(["x": .array([.int32(1)])])]),
        ]
        let properties = BasicProperties(
            contentType: "application/json", contentEncoding: "gzip", headers: headers, isPersistent: false,
            priority: 3, correlationID: "c", replyTo: "r", expiration: "60000", messageID: "m", timestamp: 9, type: "t",
            userID: "u", appID: "other")
        let delivery = Delivery(
            queue: "unrouted", consumerTag: "", deliveryTag: 1, epoch: 1, isRedelivered: false, exchange: "events",
            routingKey: "job.x", properties: properties, body: [1])
        let letter = DeadLetter(delivery, id: .make(), now: Date())
        #expect(try letter.originalProperties() == properties)
        // And through a file.
        let copy = try DeadLetter(jsonLine: try letter.jsonLine())
        #expect(try copy.originalProperties() == properties && copy.body == letter.body)
    }
}
