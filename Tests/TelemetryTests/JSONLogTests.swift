import Foundation
import Logging
import Synchronization
import Telemetry
import Testing

@Suite struct JSONLogTests {
    final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func append(_ line: String) { lines.withLock { $0.append(line) } }
    }

    static func logger(_ lines: Lines, provider: Logger.MetadataProvider? = nil) -> Logger {
        Logger(label: "worker") { label in
            JSONLogHandler(
                label: label, metadataProvider: provider, now: { Date(timeIntervalSince1970: 1_805_202_000.25) },
                write: lines.append)
        }
    }

    @Test func aRecordIsOneLineWithItsFactsInOrder() {
        let lines = Lines()
        var logger = Self.logger(lines)
        logger[metadataKey: "message.id"] = "m1"
        logger.info(
            "job settled", metadata: ["job.attempt": "\(2)", "amqp": ["queue": "sync", "delivery": ["tag": "7"]]])
        #expect(
            lines.all == [
                #"{"time":"2027-03-16T13:00:00.250Z","level":"info","logger":"worker","message":"job settled","#
                    + #""amqp.delivery.tag":"7","amqp.queue":"sync","job.attempt":"2","message.id":"m1"}"# + "\n"
            ])
    }

    @Test func nothingBreaksTheLineOrTheJSON() throws {
        let lines = Lines()
        let nasty = "a\nb\r\t\"quoted\" \\ \u{0} \u{1b}[31m \u{2028} ü 🏗"
        Self.logger(lines).warning("\(nasty)", metadata: ["\(nasty)": ["\(nasty)", ["k": "v"]]])
        let line = try #require(lines.all.first)
        #expect(line.filter(\.isNewline).count == 1 && line.hasSuffix("\n"))
        #expect(!line.unicodeScalars.contains("\u{1b}"))
        let object = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["message"] as? String == nasty)
        #expect((object[nasty] as? [Any])?.first as? String == nasty)
    }

    @Test func metadataCannotPassForTheRecordsOwnFields() {
        let lines = Lines()
        Self.logger(lines).info("real", metadata: ["message": "fake", "level": "critical", "time": "never"])
        #expect(lines.all[0].contains(#""level":"info""#))
        #expect(
            lines.all[0].contains(#""metadata.level":"critical","metadata.message":"fake","metadata.time":"never""#))
    }

    @Test func numbersAndClaimsKeepTheirType() {
        let lines = Lines()
        Self.logger(lines).info(
            "typed",
            metadata: ["a": .stringConvertible(7), "b": .stringConvertible(true), "c": .stringConvertible(1.5)])
        #expect(lines.all[0].contains(#""a":7,"b":true,"c":1.5"#))
    }

    @Test func theRecordsOwnMetadataWinsOverTheProvidersAndTheLoggers() {
        let lines = Lines()
        var logger = Self.logger(lines, provider: Logger.MetadataProvider { ["k": "provider", "p": "1"] })
        logger[metadataKey: "k"] = "logger"
        logger.info("one")
        logger.info("two", metadata: ["k": "record"])
        #expect(lines.all[0].contains(#""k":"provider","p":"1""#))
        #expect(lines.all[1].contains(#""k":"record""#))
    }

    @Test func recordsBelowTheLevelAreNotWritten() {
        let lines = Lines()
        Self.logger(lines).debug("quiet")
        #expect(lines.all.isEmpty)
    }
}
