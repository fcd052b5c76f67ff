import Chaos
import Foundation
import Logging
import Postgres
import Sandbox
import TestSupport
import Testing

/// The audit finds what it is for. Each test gets a copy of one finished run, without any fault, and plants something.
@Suite(.finishedRun, .timeLimit(.minutes(5))) struct AuditTests {
    @Test func aRunThatKeptEverythingIsClean() async throws {
        try await withFinishedRun { run, pool in
            let report = try await Audit.run(record: run.record, pool: pool, mails: run.mails)
            #expect(report.isClean, "\(report.violations)")
            #expect(report["accepted"] >= 60)
            #expect(report["consultations"] > 10)
            #expect(report["mails handed over"] > 20)
        }
    }

    @Test func aPlantedLossIsFound() async throws {
        try await withFinishedRun { run, pool in
            let webhook = try #require(
                run.record.requests.first { request in
                    if case .webhook = request.subject { return request.isAccepted }
                    return false
                })
            guard case .webhook(_, let id) = webhook.subject else { return }
            _ = try await pool.query("delete from inbox where consumer = 'sync' and message_id = \(id)")
            let mail = try #require(run.mails.last?.messageID)
            let report = try await Audit.run(
                record: run.record, pool: pool, mails: run.mails.filter { $0.messageID != mail })
            #expect(report.violations.contains { $0.hasPrefix("lost: ") && $0.contains(id) })
            #expect(report.violations.contains { $0.hasPrefix("lost: no mail to ") })
            #expect(report.violations.count == 2, "\(report.violations)")
        }
    }

    @Test func aLostConsultationIsFound() async throws {
        try await withFinishedRun { run, pool in
            // The row itself goes, and everything that hangs on it stays.
            let row = try await pool.query(
                """
                update consultations set customer_email = 'somebody@else.example.com'
                where id = (select id from consultations where merged_into is null limit 1) returning id
                """)[0]
            let id: String = try row["id"]
            let report = try await Audit.run(record: run.record, pool: pool, mails: run.mails)
            #expect(report.violations.contains { $0.hasPrefix("lost: story ") }, "\(report.violations) \(id)")
        }
    }

    @Test func aPlantedDuplicateIsFound() async throws {
        try await withFinishedRun { run, pool in
            let email: String = try await pool.query(
                """
                with copy as (select * from consultations where merged_into is null limit 1)
                insert into consultations (id, kind, state, sequence, customer_name, customer_email, starts_at, ends_at,
                    time_zone, current_invitee, assignment)
                select 'con_planted', kind, state, 0, customer_name, customer_email, starts_at, ends_at, time_zone,
                    'planted', case state when 'booked' then 'unassigned' else 'released' end
                from copy returning customer_email
                """)[0]["customer_email"]
            let mail = try #require(run.mails.first)
            let report = try await Audit.run(record: run.record, pool: pool, mails: run.mails + [mail])
            #expect(
                report.violations.contains { $0.hasPrefix("duplicate: story ") && $0.contains(email) },
                "\(report.violations)")
            #expect(report.violations.contains { $0.hasPrefix("duplicate: 2 mails to ") }, "\(report.violations)")
        }
    }

    @Test func aPlantedOverlapIsFound() async throws {
        try await withFinishedRun { run, pool in
            _ = try await pool.query("alter table allocations drop constraint allocations_no_overlap")
            let resource: String = try await pool.query(
                """
                insert into allocations (resource_id, during, subject_kind, subject_id)
                select resource_id, during, subject_kind, 'planted' from allocations where active limit 1
                returning resource_id
                """)[0]["resource_id"]
            let report = try await Audit.run(record: run.record, pool: pool, mails: run.mails)
            #expect(report.violations.count == 1, "\(report.violations)")
            #expect(report.violations.contains { $0.hasPrefix("overlap: \(resource) ") && $0.contains("planted") })
        }
    }

    @Test func aDeadLetterWithoutPoisonIsFound() async throws {
        try await withFinishedRun { run, pool in
            _ = try await pool.query(
                """
                insert into dead_letters (id, death_key, queue, message_id, type, exchange, routing_key, properties,
                    headers, body, reason)
                values ('dl_planted', 'planted', 'sync', 'planted', 'calendly.invitee.created', 'inbound',
                    'calendly.invitee.created', '{}', '{}', '', 'rejected')
                """)
            let report = try await Audit.run(record: run.record, pool: pool, mails: run.mails)
            #expect(report.violations.contains { $0.hasPrefix("dead letter without poison: ") })
        }
    }
}

/// What is left of a run: the record, the mail, and the name of its database, to which nobody is connected.
struct FinishedRun: Sendable {
    @TaskLocal static var current: FinishedRun?

    let servers: Servers
    let record: Record
    let mails: [Sandbox.Mailbox.Mail]
    let databaseName: String
}

/// Plays one run on the development servers for all tests of a suite.
struct FinishedRunTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let environment = ProcessInfo.processInfo.environment
        let servers = try Servers(environment: environment)
        let name = "audit\(getpid())"
        let folder = FileManager.default.temporaryDirectory.appending(path: "neff-chaos-\(name)")
        let site = try await Site(
            servers: servers, executable: BrokerManagement.environment("NEFF_EXECUTABLE"), name: name, folder: folder)
        do {
            try await site.startEverything()
            let record = Record()
            let load = try await Load(
                site: site, record: record, seed: 7,
                shape: Load.Shape(rate: 20, duration: .seconds(4), patience: .seconds(30)))
            await load.play()
            let waiting = await site.settle(within: .seconds(90))
            #expect(waiting.isEmpty, "\(waiting)")
            let mails = try site.mails()
            // A database is copied while nobody is connected to it.
            await site.stopProcesses()
            let run = FinishedRun(servers: servers, record: record, mails: mails, databaseName: site.databaseName)
            try await FinishedRun.$current.withValue(run) { try await function() }
            await site.end()
        } catch {
            await site.end()
            throw error
        }
        try? FileManager.default.removeItem(at: folder)
    }
}

extension Trait where Self == FinishedRunTrait {
    static var finishedRun: Self { Self() }
}

/// Runs a test on a copy of the finished run's database.
private func withFinishedRun(_ body: (FinishedRun, PostgresPool) async throws -> Void) async throws {
    let run = try #require(FinishedRun.current)
    let server = DatabaseCopies(configuration: try run.servers.database("postgres"))
    let copy = "\(run.databaseName)_\(UInt32.random(in: 0 ... .max))"
    try await server.run("create database \(identifier: copy) template \(identifier: run.databaseName)")
    let pool = PostgresPool(configuration: try run.servers.database(copy), size: 2, logger: .silent)
    do {
        try await body(run, pool)
        await pool.shutDown()
        try await server.run("drop database \(identifier: copy) with (force)")
    } catch {
        await pool.shutDown()
        try? await server.run("drop database \(identifier: copy) with (force)")
        throw error
    }
}

private struct DatabaseCopies {
    let configuration: PostgresConfiguration

    func run(_ sql: SQL) async throws {
        let connection = try await PostgresConnection.connect(configuration, logger: .silent)
        do {
            _ = try await connection.query(sql)
            await connection.close()
        } catch {
            await connection.close()
            throw error
        }
    }
}
