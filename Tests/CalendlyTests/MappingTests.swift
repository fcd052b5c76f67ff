import Calendly
import Domain
import Foundation
import TestSupport
import Testing

@Suite struct MappingTests {
    private static func payload(_ prefix: String) throws -> InviteePayload {
        guard case .invitee(_, let payload) = try WebhookEnvelope.decode(CalendlyFixture.delivery(prefix)).payload
        else {
            throw CocoaError(.coderInvalidValue)
        }
        return payload
    }

    private static func answers(_ pairs: [(String, String)]) -> [String: String] {
        Answers.mapped(pairs.map { InviteePayload.QuestionAndAnswer(question: $0.0, answer: $0.1, position: 0) })
    }

    // MARK: - Answers

    @Test(arguments: [
        ("Project Address", AnswerKey.projectAddress), ("  project   address: ", .projectAddress),
        ("Job-site address?", .projectAddress), ("PROJECT TYPE", .projectType),
        ("Estimated Square Footage", .squareFootage), ("Sq. Ft.", .squareFootage),
        ("Preferred Start Date", .preferredStart), ("Urgency Level", .urgency), ("Ｕrgency", .urgency),
        ("Special requirements", .specialRequirements), ("Business name", .businessName),
        ("Project deadline", .deadline), ("On-site contact", .onSiteContact), ("Emergency type", .emergencyType),
        ("Safety concerns", .safetyConcerns), ("Call-back number", .callbackNumber),
    ])
    func questionsAreFoundByTheirNormalisedText(question: String, key: AnswerKey) {
        #expect(AnswerKey(question: question) == key)
    }

    @Test func everyKeyIsFoundByItsOwnName() {
        for key in AnswerKey.allCases {
            #expect(AnswerKey(question: key.rawValue.replacing("_", with: " ")) == key)
        }
    }

    @Test func unmappedAnswersKeepTheirQuestion() throws {
        let answers = Answers.mapped(try Self.payload("02").questionsAndAnswers)
        #expect(
            answers == [
                "project_address": "400 Commerce Park Dr, Springfield, OH 45505",
                "project_type": "Parking lot overlay\nStriping\nDrainage", "square_footage": "62,000",
                "preferred_start": "Second half of May", "urgency": "Planning / budgeting",
                "Site Contact Phone": "+1 937-555-0163",
            ])
    }

    @Test func nothingIsLostWhenTwoQuestionsMeanTheSame() {
        let mapped = Self.answers([
            ("Address", ""), ("Project Address", "1 Main St"), ("Site address", "2 Side St"), ("Dog?", "Rex"),
            ("Dog?", "Bello"), ("", "nameless"),
        ])
        #expect(
            mapped == [
                "project_address": "1 Main St", "Site address": "2 Side St", "Dog?": "Rex\nBello", "?": "nameless",
            ])
    }

    @Test func positionsDoNotMatter() {
        let one = Self.answers([("Project Type", "Driveway"), ("Urgency", "Soon")])
        let other = Self.answers([("Urgency", "Soon"), ("Project Type", "Driveway")])
        #expect(one == other)
    }

    // MARK: - Kind

    @Test(arguments: [
        ("Residential Consultation", ConsultationKind.residential), ("COMMERCIAL site visit", .commercial),
        ("Maintenance Consultation", .maintenance), ("Emergency Service Call", .emergency),
        ("Emergency (residential)", .emergency), ("Noncommercial chat", .triage), ("Coffee", .triage), ("", .triage),
    ])
    func theKindFollowsFromAWordOfTheName(name: String, kind: ConsultationKind) throws {
        var event = try Self.payload("01").scheduledEvent
        event.name = name.isEmpty ? nil : name
        #expect(VisitRules().kind(of: event) == kind)
    }

    @Test func aKnownEventTypeDecidesBeforeTheName() throws {
        let event = try Self.payload("10").scheduledEvent
        #expect(VisitRules().kind(of: event) == .triage)
        let rules = VisitRules(eventTypes: [.maintenance: [try #require(event.eventType)]])
        #expect(rules.kind(of: event) == .maintenance)
        var named = event
        named.name = "Commercial Consultation"
        #expect(rules.kind(of: named) == .maintenance)
    }

    // MARK: - Where and who

    @Test func theAddressIsThePlaceElseTheAnswer() throws {
        #expect(try Self.payload("01").visitAddress == "1184 Orchard Hill Rd, Dayton, OH 45419")
        #expect(
            try Self.payload("02").visitAddress
                == "Lot C, 400 Commerce Park Dr, Springfield, OH 45505\nMeet at the loading dock gate, hard hat required"
        )
        // A call: the place is a telephone number.
        #expect(try Self.payload("04").visitAddress == "77 Riverside Plaza, Cincinnati, OH 45202")
        #expect(try Self.payload("09").visitAddress == "Callejón São João nº 4 – patio trasero")
        #expect(try Self.payload("10").visitAddress == nil)
    }

    @Test func theCustomerHasANameAndTheBestNumber() throws {
        #expect(
            try Self.payload("02").customer
                == Person(name: "Ruth Halvorsen", email: "r.halvorsen@example.com", phone: "+1 937-555-0142"))
        #expect(try Self.payload("04").customer.phone == "+1 513-555-0117")
        var nameless = try Self.payload("02")
        nameless.name = " "
        #expect(nameless.customer.name == "Ruth Halvorsen")
        nameless.firstName = nil
        nameless.lastName = nil
        #expect(nameless.customer.name == "r.halvorsen@example.com")
        nameless.email = nil
        #expect(nameless.customer.name == "Unknown customer")
    }

    @Test func theVisitIsInTheSitesZoneNotTheInvitees() throws {
        let payload = try Self.payload("09")
        #expect(payload.timezone == "Pacific/Honolulu")
        var record = InviteeRecord(uri: payload.uri)
        record.apply(InviteeObservation(change: .created, webhookCreatedAt: nil, payload: payload, isHint: false))
        let projection = ConsultationProjection.project(chain: [record], rules: VisitRules())
        #expect(projection?.visit.timeZone == "America/New_York")
    }
}
