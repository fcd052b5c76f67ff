import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct LetterActsTests {
    static func letter(
        _ id: String, body: String = #"{"customer":{"name":"Dana"},"n":1}"#, code: String = "fault",
        text: String = "row 7 is odd", at: Date = Date()
    ) -> DeadLetter {
        var letter = DeadLetter(
            id: .make(), deathKey: "work/\(id)/1/0", queue: "work", messageID: id, type: "job.create", exchange: "",
            routingKey: "work", correlationID: "c", propertiesJSON: #"{"type":"job.create"}"#,
            headersJSON: #"{"attempt":1,"tenant":"acme"}"#, body: Array(body.utf8), reason: "rejected", errorCode: code,
            errorText: text,
            attempts: [
                Envelope.Attempt(at: Date(timeIntervalSince1970: 1_800_000_000), worker: "w", code: code, detail: text)
            ],
            attemptCount: 1, replayCount: 0, diedAt: at)
        (letter.handler, letter.build) = ("work/work", "1.0")
        letter.takeFingerprint()
        return letter
    }

    static func log(_ pool: PostgresPool) async throws -> [String] {
        try await OperatorLog.list(on: pool).reversed().map { "\($0.act.actor) \($0.act.kind) \($0.act.subject)" }
    }

    static func expectIntact(_ pool: PostgresPool) async throws {
        guard case .intact = try await OperatorLog.verify(on: pool) else {
            Issue.record("\(try await OperatorLog.verify(on: pool))")
            return
        }
    }

    @Test func anEditIsAPatchBesideTheOriginalAndCanBeTakenBack() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let letter = Self.letter("a")
            try await DeadLetters.insert([letter], on: pool)
            let patch = try JSONPatch(json: #"[{"op":"replace","path":"/customer/name","value":"D. Whitfield"}]"#.utf8)
            let result = try await DeadLetters.edit(
                letter.id, patch: patch, replacing: nil, reason: "typo", by: "ops", on: pool)
            guard case .edited(let edited) = result else {
                Issue.record("\(result)")
                return
            }
            #expect(edited.body == letter.body && edited.patch == patch && edited.patchedBy == "ops")
            #expect(try edited.effectiveBody() == Array(#"{"customer":{"name":"D. Whitfield"},"n":1}"#.utf8))
            // Somebody who had read the letter before does not overwrite this.
            let late = try await DeadLetters.edit(
                letter.id, patch: nil, replacing: nil, reason: nil, by: "other", on: pool)
            #expect(late == .changedMeanwhile)
            let inapplicable = try JSONPatch(json: #"[{"op":"remove","path":"/nothing"}]"#.utf8)
            await #expect(throws: JSONPatch.Failure.self) {
                try await DeadLetters.edit(
                    letter.id, patch: inapplicable, replacing: patch, reason: nil, by: "ops", on: pool)
            }
            let undone = try await DeadLetters.edit(
                letter.id, patch: nil, replacing: patch, reason: nil, by: "ops", on: pool)
            guard case .edited(let original) = undone else {
                Issue.record("\(undone)")
                return
            }
            #expect(original.patch == nil && original.patchedAt == nil)
            #expect(try original.effectiveBody() == letter.body)
            #expect(
                try await Self.log(pool) == [
                    "ops dead_letter.edit \(letter.id)", "ops dead_letter.undo_edit \(letter.id)",
                ])
            let details = try await OperatorLog.list(on: pool).map(\.act.details.rawValue).joined()
            #expect(details.contains("/customer/name") && !details.contains("Whitfield"), "values stay out of the log")
            try await Self.expectIntact(pool)
        }
    }

    @Test(arguments: [
        "update dead_letters set body = 'x'", "update dead_letters set headers = '{}'",
        "update dead_letters set routing_key = 'x'", "update dead_letters set replay_count = 3",
        "update dead_letters set original_exchange = 'x'", "update dead_letters set fingerprint = 'x'",
        "update dead_letters set attempts = '[]'", "delete from dead_letters", "truncate dead_letters",
    ])
    func theDatabaseKeepsTheOriginal(statement: String) async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            try await DeadLetters.insert([Self.letter("a")], on: pool)
            let error = await #expect(throws: PostgresError.self) { try await pool.query(SQL(unescaped: statement)) }
            #expect(error?.sqlState?.rawValue == "55000")
        }
    }

    @Test func discardAndRestoreAreLoggedWithTheirReasons() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let letters = (0..<3).map { Self.letter("m\($0)") }
            try await DeadLetters.insert(letters, on: pool)
            let ids = letters.map(\.id).sorted()
            #expect(try await DeadLetters.discard(ids, reason: "test", by: "ops", on: pool) == ids)
            #expect(try await DeadLetters.discard(ids, reason: "test", by: "ops", on: pool) == [])
            #expect(try await DeadLetters.restore([ids[1], .make()], reason: nil, by: "ops", on: pool) == [ids[1]])
            #expect(try await DeadLetters.ids(matching: DeadLetters.Filter(), on: pool) == [ids[1]])
            let restored = try #require(try await DeadLetters.find(ids[1], on: pool))
            #expect(restored.status == .dead && restored.resolvedAt == nil && restored.resolutionReason == nil)
            #expect(try await Self.log(pool).count == 4)
            try await Self.expectIntact(pool)
        }
    }

    @Test func onlyResolvedLettersArePurgedAndTheirGroupsStay() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let letters = (0..<4).map { Self.letter("m\($0)") }
            try await DeadLetters.insert(letters, on: pool)
            let ids = letters.map(\.id).sorted()
            _ = try await DeadLetters.discard([ids[0], ids[1]], reason: "old", by: "ops", on: pool)
            _ = try await pool.query(
                "update dead_letters set resolved_at = now() - interval '40 days' where id = \(ids[0].rawValue)")
            let instant = Date().addingTimeInterval(-30 * 86_400)
            #expect(try await DeadLetters.purgeable(resolvedBefore: instant, on: pool) == 1)
            #expect(try await DeadLetters.purge(resolvedBefore: instant, reason: "r", by: "ops", on: pool) == 1)
            #expect(try await DeadLetters.purge(resolvedBefore: instant, reason: "r", by: "ops", on: pool) == 0)
            let rest = try await DeadLetters.ids(matching: DeadLetters.Filter(status: nil), on: pool)
            #expect(rest == Array(ids[1...]))
            let group = try #require(try await DeadLetters.groups(includesResolved: true, on: pool).first)
            #expect(group.letters == 4 && group.unresolved == 2)
            #expect(try await Self.log(pool).last == "ops dead_letter.purge dead_letters")
        }
    }

    @Test func aFileBringsBackEveryByte() async throws {
        let every = String(decoding: (0...255).map { UInt8($0) }, as: UTF8.self)
        var letters = [Self.letter("a"), Self.letter("b", body: "no JSON \u{0} \(every)"), Self.letter("c")]
        letters[1].body = (0...255).map { UInt8($0) }
        letters[1].correlationID = nil
        try await withScratchDatabase(migrations: Schema.migrations()) { [letters] pool in
            try await DeadLetters.insert(letters, on: pool)
            let patch = try JSONPatch(json: #"[{"op":"add","path":"/x","value":1.50}]"#.utf8)
            _ = try await DeadLetters.edit(
                letters[0].id, patch: patch, replacing: nil, reason: "r", by: "ops", on: pool)
            _ = try await DeadLetters.discard([letters[2].id], reason: "why", by: "ops", on: pool)
            let before = try await DeadLetters.list(DeadLetters.Filter(status: nil), on: pool).letters
            let lines = try before.map { try $0.jsonLine() }
            #expect(lines.allSatisfy { !$0.contains(UInt8(ascii: "\n")) })
            try await withScratchDatabase(migrations: Schema.migrations()) { other in
                let read = try lines.map { try DeadLetter(jsonLine: $0) }
                #expect(try await DeadLetters.import(read, from: "file", by: "ops", on: other).count == 3)
                #expect(try await DeadLetters.import(read, from: "file", by: "ops", on: other) == [])
                let after = try await DeadLetters.list(DeadLetters.Filter(status: nil), on: other).letters
                #expect(after == before)
                #expect(try after.map { try $0.jsonLine() } == lines)
                // As the database sees it, to the microsecond.
                let fingerprint: SQL = "select md5(string_agg(d::text, ',' order by id)) as sum from dead_letters d"
                let sums = try await [pool.query(fingerprint), other.query(fingerprint)]
                #expect(try sums[0][0].decode("sum", as: String.self) == sums[1][0].decode("sum", as: String.self))
                #expect(try await DeadLetters.groups(on: other).first?.letters == 3)
            }
        }
    }

    @Test func aCampaignHearsOfADeathThatCameThroughAFile() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let letter = Self.letter("a")
            try await DeadLetters.insert([letter], on: pool)
            let order = ReplayCampaigns.Order(
                selection: .ids([letter.id]), selectionJSON: "{}", rules: ReplayRules(canary: 0, ramp: []), actor: "ops"
            )
            guard case .created(let campaign) = try await ReplayCampaigns.create(order, on: pool) else {
                Issue.record("no campaign")
                return
            }
            _ = try await ReplayCampaigns.takeLeases(for: .seconds(60), holder: "h", on: pool)
            _ = try await ReplayCampaigns.step(campaign.id, holder: "h", limit: 9, consumers: ["work"], on: pool)
            try await ReplayCampaigns.record([letter.id: .confirmed], of: campaign.id, on: pool)
            var again = Self.letter("a")
            (again.deathKey, again.replayCount, again.stamp) = ("work/a/1/1", 1, campaign.stamp)
            let read = try DeadLetter(jsonLine: try again.jsonLine())
            #expect(read.stamp == campaign.stamp)
            #expect(try await DeadLetters.import([read], from: "file", by: "ops", on: pool) == [again.id])
            #expect(try await ReplayCampaigns.find(campaign.id, on: pool)?.progress.failed == 1)
            #expect(try await DeadLetters.find(letter.id, on: pool)?.status == .replayed)
            #expect(try await DeadLetters.find(again.id, on: pool)?.status == .dead)
        }
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"format":2}"#, #"{"format":1,"id":"x"}"#,
        #"{"format":1,"id":"dlt_01KZJ9ZQ8T4X5N7B2C3D6E8F9G"}"#,
    ])
    func aLineThatIsNoLetterSaysWhy(line: String) {
        #expect(throws: DeadLetter.LineFailure.self) { try DeadLetter(jsonLine: line.utf8) }
    }

    @Test func filtersFindWhatTheySay() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let old = Date().addingTimeInterval(-7_200)
            let letters = [
                Self.letter("a", body: #"{"customer":{"name":"Dana Whitfield"},"sequence":4}"#),
                Self.letter("b", body: "not JSON, about Whitfield", code: "odd"),
                Self.letter("c", body: #"{"sequence":2}"#, text: "Mailbox full", at: old),
            ]
            try await DeadLetters.insert(letters, on: pool)
            func found(_ change: (inout DeadLetters.Filter) -> Void) async throws -> [String] {
                var filter = DeadLetters.Filter()
                change(&filter)
                return try await DeadLetters.list(filter, on: pool).letters.map(\.messageID).sorted()
            }
            #expect(try await found { $0.text = "whitfield" } == ["a", "b"])
            #expect(try await found { $0.text = "mailbox" } == ["c"])
            #expect(try await found { $0.text = "100%_\\" } == [])
            #expect(try await found { $0.jsonPath = "$.sequence > 3" } == ["a"])
            #expect(try await found { $0.jsonPath = "$.sequence" } == ["a", "c"])
            #expect(try await found { $0.jsonPath = #"$.customer.name ? (@ starts with "Dana")"# } == ["a"])
            #expect(try await found { $0.errorCode = "odd" } == ["b"])
            #expect(try await found { $0.diedBefore = old + 1 } == ["c"])
            #expect(try await found { $0.diedAfter = old + 1 } == ["a", "b"])
            #expect(try await found { $0.fingerprint = letters[0].fingerprint } == ["a"])
            #expect(try await found { $0.reason = "poison" } == [])
            await #expect(throws: PostgresError.self) { try await found { $0.jsonPath = "$.." } }
        }
    }

    // MARK: Facts

    @Test func theFactsTellWhenAReplayIsPointless() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            func verdict(_ type: String, _ body: String, id: String = "m") async throws -> String? {
                var letter = Self.letter(id, body: body)
                (letter.type, letter.queue) = (type, "scheduling.urgent")
                return try await LetterFacts.read(for: letter, on: pool).verdict?.name
            }
            let job = JobID.make()
            _ = try await pool.query(
                """
                insert into jobs (id, number, state, sequence, service, priority, customer_name, address, time_zone,
                    starts_at, ends_at)
                values (\(job.rawValue), 'J-2027-00042', 'scheduled', 3, 'patching', 'standard', 'D', 'A', 'UTC',
                    now() + interval '1 day', now() + interval '2 days')
                """)
            #expect(try await verdict("job.scheduled", #"{"job":"\#(job)","sequence":3}"#) == nil)
            #expect(try await verdict("job.scheduled", #"{"job":"\#(job)","sequence":2}"#) == "superseded")
            #expect(try await verdict("job.cancel", #"{"job":"\#(job)"}"#) == nil)
            _ = try await pool.query(
                "update jobs set ends_at = now() - interval '1 hour', starts_at = now() - interval '2 hours'")
            #expect(try await verdict("job.scheduled", #"{"job":"\#(job)","sequence":3}"#) == "too_late")
            #expect(try await verdict("job.reschedule", #"{"job":"\#(job)"}"#) == nil)
            _ = try await pool.query("update jobs set state = 'canceled'")
            #expect(try await verdict("job.reschedule", #"{"job":"\#(job)"}"#) == "superseded")
            let past = Instant.text(Date().addingTimeInterval(-60))
            #expect(
                try await verdict(
                    "calendly.invitee.created", #"{"payload":{"scheduled_event":{"end_time":"\#(past)"}}}"#)
                    == "too_late")
            let operation = OperationID.make()
            _ = try await pool.query(
                """
                insert into operations (id, principal, route, idempotency_key, request_hash, status, http_status,
                    message_id, finished_at)
                values (\(operation.rawValue), 'p', 'r', 'k', 'h', 'succeeded', 200, 'm', now())
                """)
            #expect(
                try await verdict("job.create", #"{"context":{"operation":"\#(operation)"}}"#) == "already_applied")
            _ = try await pool.query("insert into inbox (consumer, message_id) values ('scheduling', 'seen')")
            #expect(try await verdict("job.scheduled", "not JSON", id: "seen") == "already_applied")
            #expect(try await verdict("job.scheduled", "not JSON") == nil)
        }
    }
}
