import FoundationEssentials
import TestSupport
import Testing

@testable import Postgres

@Suite struct TimestampTests {
    /// Text as PostgreSQL 15 printed it for `to_timestamp`.
    @Test(arguments: [
        (0, "1970-01-01 00:00:00.000000+00"),
        (-1, "1969-12-31 23:59:59.999999+00"),
        (951_782_400_000_000, "2000-02-29 00:00:00.000000+00"),
        (1_709_251_199_999_999, "2024-02-29 23:59:59.999999+00"),
        (4_107_542_400_000_000, "2100-03-01 00:00:00.000000+00"),
        (-62_135_596_800_000_000, "0001-01-01 00:00:00.000000+00"),
        (-62_135_596_800_000_001, "0001-12-31 23:59:59.999999+00 BC"),
        (253_402_300_800_000_000, "10000-01-01 00:00:00.000000+00"),
    ])
    func textIsTheServers(microseconds: Int64, text: String) throws {
        #expect(Timestamp(microseconds: microseconds)?.text == text)
        #expect(Timestamp(text: text.utf8)?.microseconds == microseconds)
    }

    @Test func everyValueReadsBack() throws {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            let microseconds = Int64.random(in: -210_866_803_200_000_000...4_600_000_000_000_000_000, using: &generator)
            guard let timestamp = Timestamp(microseconds: microseconds) else { continue }
            let isReadable = microseconds < 4_599_999_000_000_000_000
            if isReadable { #expect(Timestamp(text: timestamp.text.utf8) == timestamp) }
        }
    }

    @Test(arguments: [
        ("2026-04-01 13:30:00+02", "2026-04-01 11:30:00.000000+00"),
        ("2026-04-01 13:30:00.5-04:30", "2026-04-01 18:00:00.500000+00"),
        ("1883-11-18 12:00:00+00:01:15", "1883-11-18 11:58:45.000000+00"),
    ])
    func offsetsAreTakenIntoAccount(text: String, utc: String) {
        #expect(Timestamp(text: text.utf8)?.text == utc)
    }

    @Test(arguments: [
        "infinity", "-infinity", "", "2026-04-01", "2026-04-01 13:30:00", "2026-13-01 00:00:00+00",
        "2026-04-01 24:00:00+00", "2026-04-01 13:30:00+00 AD", "2026-04-01 13:30:00+00x", "999999-01-01 00:00:00+00",
    ])
    func otherTextIsRefused(text: String) {
        #expect(Timestamp(text: text.utf8) == nil)
    }
}
