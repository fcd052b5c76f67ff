import Foundation
import Glibc
import TestSupport
import Testing
import Transport

/// Counts what a process holds, before and after many uses. Serialized: other suites open descriptors too.
@Suite(.serialized, .timeLimit(.minutes(5))) struct LeakTests {
    private static func count(_ path: String) throws -> Int {
        let directory = try #require(opendir(path))
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count
    }

    /// Sanitizers keep freed memory on purpose, so growth says nothing under them.
    private static let isSanitized = dlsym(nil, "__tsan_init") != nil || dlsym(nil, "__asan_init") != nil

    private static func residentKilobytes() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(Int(line.filter(\.isNumber)))
    }

    /// Connections of this process to a port, from the kernel's table: descriptors of other tests do not count.
    private static func connections(to port: Int) throws -> Int {
        let hex = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: 4 - hex.count) + hex
        return try String(contentsOfFile: "/proc/self/net/tcp", encoding: .utf8).split(separator: "\n").count { line in
            let columns = line.split(separator: " ")
            // State 01 is established, 08 close-wait.
            return columns.count > 3 && columns[2].hasSuffix(suffix) && ["01", "08"].contains(columns[3])
        }
    }

    @Test func tenThousandRequestsLeaveNothingBehind() async throws {
        let server = try ScriptedHTTPServer { request, connection in
            switch request.target {
            case "/reset":
                connection.reset()
                return false
            case "/silent":
                connection.waitForPeer()
                return false
            default: return connection.write(ScriptedHTTPServer.answer("200 OK", body: "hello"))
            }
        }
        defer { server.stop() }
        func burst(_ client: HTTPClient, _ count: Int) async {
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<count {
                    if number >= 16 { await group.next() }
                    group.addTask {
                        let path = number % 50 == 0 ? "/reset" : number % 50 == 1 ? "/silent" : "/"
                        let timeout: Duration = path == "/silent" ? .milliseconds(20) : .seconds(30)
                        _ = await failure(client, HTTPRequest(url: server.url(path), timeout: timeout))
                    }
                }
            }
        }
        let client = HTTPClient(name: "http-leak")
        await burst(client, 2_000)
        let before = try Self.residentKilobytes()
        await burst(client, 10_000)
        let after = try Self.residentKilobytes()
        #expect(await client.openConnections <= 8)
        // 10,000 easy handles would be 200 MB, 10,000 answers a few.
        #expect(after - before < 40_000 || Self.isSanitized, "grew by \(after - before) KiB")
        await client.close()
        #expect(try Self.connections(to: Int(server.url().split(separator: ":")[2].dropLast()) ?? 0) == 0)
    }

    @Test func aThousandClientsLeaveNoThreadAndNoDescriptor() async throws {
        let server = try ScriptedHTTPServer { _, connection in
            connection.write(ScriptedHTTPServer.answer("200 OK", body: "hello"))
        }
        defer { server.stop() }
        let threads = try Self.count("/proc/self/task")
        let descriptors = try Self.count("/proc/self/fd")
        // Other suites come and go meanwhile; one thread or descriptor per client would be a thousand.
        for number in 0..<1_000 {
            let client = HTTPClient(name: "http-leak")
            #expect(try await client.send(HTTPRequest(url: server.url())).status == 200)
            // Every other one is dropped without a goodbye.
            if number % 2 == 0 { await client.close() }
        }
        for _ in 0..<200 where try Self.count("/proc/self/task") > threads + 200 {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(try Self.count("/proc/self/task") <= threads + 200)
        #expect(try Self.count("/proc/self/fd") <= descriptors + 400)
    }

    @Test func twoThousandMessagesLeaveNothingBehind() async throws {
        let server = try ScriptedSMTPServer { event in
            if event.line.contains("<gone@") { return .reply("550 5.1.1 no such user") }
            if event.line.contains("<lost@") { return .reset }
            return nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url(authenticated: true), maxConnections: 4)
        let mails = try (0..<2_000).map { number in
            try testMail(
                "\(number)", to: number % 20 == 0 ? "gone@example.test" : number % 20 == 1 ? "lost@e.test" : "p@e.test")
        }
        let before = try Self.residentKilobytes()
        let accepted = await client.send(mails).count { (try? $0.result.get()) != nil }
        #expect(accepted == 1_800)
        #expect(try Self.residentKilobytes() - before < 60_000 || Self.isSanitized)
        #expect(try Self.connections(to: server.port) <= 4)
        await client.close()
        #expect(try Self.connections(to: server.port) == 0)
    }
}
