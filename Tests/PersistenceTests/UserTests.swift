import Domain
import Foundation
import Persistence
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct UserTests {
    private static let start = Date(timeIntervalSince1970: 1_804_690_000)
    private static let actor = AccessActor(name: "test")
    private static let cheap = PasswordHash.Parameters(costExponent: 2)

    private static func new(_ email: String, _ role: AccessRole = .office) throws -> NewUser {
        NewUser(
            email: email, name: "Somebody", role: role,
            password: try PasswordHash(of: "seven purple wheelbarrows", parameters: cheap))
    }

    @Test func twoSpellingsOfAnAddressAreOneUser() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let users = UserRepository(pool: pool)
            let user = try #require(try await users.create(Self.new("Office@Example.com"), by: Self.actor))
            #expect(try await users.create(Self.new("office@example.COM"), by: Self.actor) == nil)
            #expect(try await users.find(email: "OFFICE@example.com")?.id == user.id)
            #expect(try await users.list().map(\.email) == ["Office@Example.com"], "it is kept as it was typed")
            // The throttle counts these as other accounts.
            for lookalike in ["off\u{130}ce@example.com", "o\u{FB00}ice@example.com", "\u{212A}office@example.com"] {
                #expect(try await users.find(email: lookalike) == nil)
                await #expect(throws: PostgresError.self) {
                    try await users.create(Self.new(lookalike), by: Self.actor)
                }
            }
            await #expect(throws: PostgresError.self, "no user is a machine") {
                try await users.create(Self.new("robot@example.com", .service), by: Self.actor)
            }
        }
    }

    @Test func aChangeIsRecordedWithBeforeAndAfterAndNothingIsNone() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let users = UserRepository(pool: pool)
            let user = try #require(try await users.create(Self.new("a@example.com"), by: Self.actor))
            let change = UserChange(name: "Somebody Else", role: .sales)
            guard case .changed(let changed) = try await users.change(user.id, change, version: 1, by: Self.actor)
            else {
                Issue.record("not changed")
                return
            }
            #expect(changed.version == 2 && changed.name == "Somebody Else" && changed.role == .sales)
            #expect(try await users.change(user.id, change, by: Self.actor) == .changed(changed))
            #expect(
                try await users.change(user.id, UserChange(name: "x"), version: 1, by: Self.actor)
                    == .changedMeanwhile(changed))
            #expect(try await users.change(.make(), change, by: Self.actor) == .missing)
            let entries = try await AccessLog.list(AccessLog.Filter(subject: user.id.rawValue), on: pool)
            #expect(entries.map(\.event.act) == [.changeUser, .createUser])
            #expect(
                entries[0].event.details == ["name": "Somebody -> Somebody Else", "role": "office -> sales"])
        }
    }

    @Test func theLastAdministratorStaysOneWhoeverChangesWhom() async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 8) { pool in
            let users = UserRepository(pool: pool)
            for round in 0..<10 {
                let pair = try await [
                    users.create(Self.new("a\(round)@example.com", .admin), by: Self.actor),
                    users.create(Self.new("b\(round)@example.com", .admin), by: Self.actor),
                ].compactMap { $0?.id }
                _ = try await pool.query(
                    "update users set role = 'office' where role = 'admin' and not id = any(\(pair.map(\.rawValue)))")
                let results = try await withThrowingTaskGroup(of: UserRepository.ChangeResult.self) { tasks in
                    tasks.addTask { try await users.change(pair[0], UserChange(role: .office), by: Self.actor) }
                    tasks.addTask { try await users.change(pair[1], UserChange(isDisabled: true), by: Self.actor) }
                    return try await tasks.reduce(into: []) { $0.append($1) }
                }
                #expect(results.count { $0 == .lastAdministrator } == 1)
                let left: Int = try await pool.query(
                    "select count(*) as n from users where role = 'admin' and disabled_at is null")[0]["n"]
                #expect(left == 1)
            }
        }
    }

    private static func session(of user: User, _ pool: PostgresPool, at now: Date = start) async throws -> SecretToken {
        let token = SecretToken.make()
        let credentials = try #require(try await UserRepository(pool: pool).credentials(user.id))
        _ = try #require(
            try await UserSessionRepository(pool: pool).begin(
                of: user, token: token, verified: credentials.password, userAgent: nil, by: actor, at: now))
        return token
    }

    @Test func aDisabledUserAndANewPasswordEndSessionsAtOnce() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let (users, sessions) = (UserRepository(pool: pool), UserSessionRepository(pool: pool))
            let user = try #require(try await users.create(Self.new("a@example.com"), by: Self.actor, at: Self.start))
            let first = try await Self.session(of: user, pool)
            let kept = try #require(try await sessions.find(digest: first.digest, at: Self.start)).session
            let second = try await Self.session(of: user, pool)
            let hash = try PasswordHash(of: "eleven green lanterns", parameters: Self.cheap)
            #expect(try await users.setPassword(of: user.id, to: hash, keeping: kept.id, by: Self.actor) != nil)
            #expect(try await sessions.find(digest: first.digest, at: Self.start) != nil)
            #expect(try await sessions.find(digest: second.digest, at: Self.start) == nil)
            _ = try await users.change(user.id, UserChange(isDisabled: true), by: Self.actor)
            #expect(try await sessions.find(digest: first.digest, at: Self.start) == nil)
            #expect(try await sessions.list(of: user.id, at: Self.start).isEmpty)
            _ = try await users.change(user.id, UserChange(isDisabled: false), by: Self.actor)
            #expect(try await sessions.find(digest: first.digest, at: Self.start) == nil, "it does not come back")
        }
    }

    @Test func noSessionBeginsWithAPasswordThatHasChangedSinceItWasChecked() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let (users, sessions) = (UserRepository(pool: pool), UserSessionRepository(pool: pool))
            let user = try #require(try await users.create(Self.new("a@example.com"), by: Self.actor))
            let checked = try #require(try await users.credentials(user.id)).password
            func begin() async throws -> UserSession? {
                try await sessions.begin(
                    of: user, token: .make(), verified: checked, userAgent: nil, by: Self.actor)
            }
            _ = try await users.change(user.id, UserChange(isDisabled: true), by: Self.actor)
            #expect(try await begin() == nil)
            _ = try await users.change(user.id, UserChange(isDisabled: false), by: Self.actor)
            #expect(try await begin() != nil)
            let hash = try PasswordHash(of: "eleven green lanterns", parameters: Self.cheap)
            #expect(try await users.setPassword(of: user.id, to: hash, replacing: checked, by: Self.actor) != nil)
            #expect(try await begin() == nil)
            #expect(
                try await users.setPassword(of: user.id, to: checked, replacing: checked, by: Self.actor) == nil,
                "the second of two changes at once")
        }
    }

    @Test func useIsNotedAtMostOnceAMinute() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let users = UserRepository(pool: pool)
            let user = try #require(try await users.create(Self.new("a@example.com"), by: Self.actor, at: Self.start))
            let token = try await Self.session(of: user, pool)
            let sessions = UserSessionRepository(pool: pool)
            for (offset, noted) in [(59.0, 0.0), (61, 61), (100, 61)] {
                _ = try await sessions.find(digest: token.digest, at: Self.start + offset)
                let seen = try await sessions.list(of: user.id, at: Self.start).first?.lastSeenAt
                #expect(seen == Self.start + noted)
            }
        }
    }

    // MARK: The first administrator

    @Test func aBootstrapTokenMakesOneAdministratorOnce() async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 8) { pool in
            let token = try #require(try await Bootstrap.makeToken(by: Self.actor, at: Self.start, on: pool))
            let results = try await withThrowingTaskGroup(of: Bootstrap.Result.self) { tasks in
                for index in 0..<8 {
                    let new = try Self.new("admin\(index)@example.com", .admin)
                    tasks.addTask {
                        try await Bootstrap.makeAdministrator(
                            new, with: token, by: AccessActor(name: nil), at: Self.start, on: pool)
                    }
                }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
            let made = results.compactMap { result -> User? in
                if case .created(let user) = result { user } else { nil }
            }
            #expect(made.count == 1 && made.first?.role == .admin)
            #expect(results.count { $0 == .refused(.worthless) } == 7)
            #expect(try await Bootstrap.makeToken(by: Self.actor, on: pool) == nil, "there is an administrator")
            let entry = try #require(
                try await AccessLog.list(AccessLog.Filter(acts: [.bootstrap]), on: pool).first)
            #expect(entry.event.actor.id == made.first?.id.rawValue, "the first one makes itself")
            let stored = try await pool.query("select t::text || l::text as row from bootstrap_tokens t, access_log l")
            #expect(try stored.allSatisfy { try !$0.decode("row", as: String.self).contains(token.text) })
        }
    }

    @Test func anOldReplacedOrInventedTokenIsWorthlessAndAnAdministratorMakesAllTooLate() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            func standing(_ token: SecretToken, after seconds: TimeInterval = 0) async throws -> Bootstrap.Standing {
                try await Bootstrap.standing(of: token, at: Self.start + seconds, on: pool)
            }
            let old = try #require(try await Bootstrap.makeToken(by: Self.actor, at: Self.start, on: pool))
            #expect(try await standing(old, after: 3_599) == .good)
            #expect(try await standing(old, after: 3_600) == .worthless)
            let token = try #require(try await Bootstrap.makeToken(by: Self.actor, at: Self.start, on: pool))
            #expect(try await standing(old) == .worthless)
            #expect(try await standing(.make()) == .worthless)
            let users = UserRepository(pool: pool)
            _ = try await users.create(Self.new("office@example.com"), by: Self.actor)
            #expect(try await standing(token) == .good, "another role does not count")
            let taken = try await Bootstrap.makeAdministrator(
                Self.new("Office@example.com", .admin), with: token, by: Self.actor, at: Self.start, on: pool)
            #expect(taken == .emailTaken)
            #expect(try await standing(token) == .good, "and does not use the token up")
            _ = try await users.create(Self.new("admin@example.com", .admin), by: Self.actor)
            #expect(try await standing(token) == .tooLate)
            let late = try await Bootstrap.makeAdministrator(
                Self.new("second@example.com", .admin), with: token, by: Self.actor, at: Self.start, on: pool)
            #expect(late == .refused(.tooLate))
        }
    }

    // MARK: The record

    @Test(arguments: [
        "update access_log set act = 'session.end'", "delete from access_log", "truncate access_log",
    ])
    func theRecordIsOnlyAddedTo(statement: String) async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            try await AccessLog.append(AccessEvent(.beginSession, by: Self.actor), at: Self.start, on: pool)
            await #expect(throws: PostgresError.self) { try await pool.query(SQL(unescaped: statement)) }
            #expect(try await AccessLog.list(on: pool).map(\.event.act) == [.beginSession])
        }
    }

    @Test func theRecordIsReadInPagesAndByActorAndSubject() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            for index in 0..<7 {
                let actor = AccessActor(
                    name: "key:k", id: "key_\(index % 2)", address: "192.0.2.1", requestID: "r\(index)")
                try await AccessLog.append(
                    AccessEvent(.revokeKey, by: actor, subject: "s\(index)", details: ["n": "\(index)"]),
                    at: Self.start + Double(index), on: pool)
            }
            let page = try await AccessLog.list(limit: 3, on: pool)
            #expect(page.map(\.event.subject) == ["s6", "s5", "s4"])
            let next = try await AccessLog.list(before: page.last?.id, limit: 10, on: pool)
            #expect(next.map(\.event.subject) == ["s3", "s2", "s1", "s0"])
            #expect(
                next[0].event.actor == AccessActor(name: "key:k", id: "key_1", address: "192.0.2.1", requestID: "r3"))
            #expect(try await AccessLog.list(AccessLog.Filter(actorID: "key_1"), on: pool).count == 3)
            #expect(
                try await AccessLog.list(AccessLog.Filter(subject: "s2"), on: pool).map(\.event.details) == [["n": "2"]]
            )
            #expect(try await AccessLog.list(AccessLog.Filter(acts: [.createKey]), on: pool).isEmpty)
        }
    }
}
