import FoundationEssentials
import Postgres
import Testing

@Suite struct SQLTests {
    @Test func everyInterpolationBecomesAParameter() {
        let name = "'; drop table jobs; --"
        let sql: SQL = "select * from jobs where name = \(name) and id = \(7)"
        #expect(sql.text == "select * from jobs where name = $1 and id = $2")
        #expect(sql.parameters.map(\.value) == [.text(name), .text("7")])
    }

    @Test func concatenationRenumbers() {
        let sql: SQL = "a = \(1)" + " and b = \(2)" + " and c = \(3)"
        #expect(sql.text == "a = $1 and b = $2 and c = $3")
    }

    @Test func aPartInTheMiddleBringsItsParametersInOrder() {
        let condition: SQL = "b = \("two") or b = \("three")"
        let sql: SQL = "select \(1) where \(condition) limit \(4)"
        #expect(sql.text == "select $1 where b = $2 or b = $3 limit $4")
        #expect(sql.parameters.map(\.value) == [.text("1"), .text("two"), .text("three"), .text("4")])
    }

    @Test func joiningPutsTheSeparatorBetween() {
        let parts: [SQL] = ["(\(1))", "(\(2))"]
        #expect(parts.joined(separator: ", ").text == "($1), ($2)")
        #expect([SQL]().joined(separator: ", ").text == "")
    }

    @Test func onlyUnescapedTextAndQuotedNamesReachTheStatement() {
        let sql: SQL = "select \(unescaped: "a, b") from \(identifier: "odd \"name")"
        #expect(sql.text == #"select a, b from "odd ""name""#)
        #expect(sql.parameters.isEmpty)
    }

    @Test func missingOptionalsBindNullOfTheirType() {
        let sql: SQL = "select \(Int?.none)"
        #expect(sql.parameters == [PostgresParameter(.null, type: .int8)])
    }

    @Test func aNULIsRefusedAndNotCut() {
        let sql: SQL = "select \("a\0b")"
        #expect(sql.parameters.map(\.value) == [.invalid("text must not contain NUL")])
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity, 1e300, -1e300])
    func aDateThatTheServerCannotHoldIsRefused(seconds: Double) {
        let parameter = Date(timeIntervalSinceReferenceDate: seconds).postgresParameter
        guard case .invalid = parameter.value else {
            Issue.record("\(parameter)")
            return
        }
    }
}
