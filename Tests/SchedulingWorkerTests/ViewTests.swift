import Domain
import Foundation
import Messaging
import Testing

/// The exact JSON that the API answers with: a change here is a change of the contract.
@Suite struct ViewTests {
    @Test func aJobInFull() throws {
        let crew = ResourceID(digest: Array(repeating: 1, count: 16))
        let view = JobView(
            id: JobID(digest: Array(repeating: 0, count: 16)), number: "J-2027-00042", state: .inProgress, version: 3,
            service: "patching", priority: .high, customer: Office.customer, site: Office.site,
            startsAt: try instant("2027-03-16T13:00:00Z"), endsAt: try instant("2027-03-16T16:00:00Z"),
            timeZone: "America/New_York", crew: ResourceName(id: crew, name: "Crew North"),
            equipment: [ResourceName(id: crew, name: "Paver 1")], notes: "Gate", cancelReason: nil,
            createdAt: try instant("2027-03-01T12:00:00Z"), updatedAt: try instant("2027-03-02T12:00:00Z"))
        let expected = """
            {"created_at":"2027-03-01T12:00:00.000Z","crew":{"id":"\(crew)","name":"Crew North"},\
            "customer":{"email":"ann@example.com","name":"Ann Example","phone":"+16145550100"},\
            "ends_at":"2027-03-16T16:00:00.000Z","equipment":[{"id":"\(crew)","name":"Paver 1"}],\
            "id":"job_00000000000000000000000000","notes":"Gate","number":"J-2027-00042","priority":"high",\
            "service":"patching","site":{"address":"12 Sample Road, Zanesville OH","time_zone":"America/New_York"},\
            "starts_at":"2027-03-16T13:00:00.000Z","state":"in_progress","time_zone":"America/New_York",\
            "updated_at":"2027-03-02T12:00:00.000Z","version":3}
            """
        let bytes = try WireJSON.encode(view)
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
        #expect(try WireJSON.decode(JobView.self, from: bytes) == view)
    }

    @Test func theKeysOfAnswersStayAsTheyAre() throws {
        let resource = ResourceID(digest: Array(repeating: 1, count: 16))
        let start = try instant("2027-03-16T13:00:00Z")
        let view = ConsultationView(
            id: ConsultationID(digest: Array(repeating: 0, count: 16)), kind: .triage, state: .noShow, version: 2,
            sequence: 1, customer: Person(name: "Ann"), startsAt: start, endsAt: start + 3600,
            timeZone: "America/New_York", answers: ["project_type": "driveway", "Where did_you hear of us?": "radio"],
            assignment: .unassigned, reasons: ["Alex is taken."],
            alternatives: [Alternative(startsAt: start, endsAt: start + 60, resource: resource, resourceName: "Alex")],
            createdAt: start, updatedAt: start)
        let bytes = try WireJSON.encode(view)
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.contains(#""answers":{"Where did_you hear of us?":"radio","project_type":"driveway"}"#))
        #expect(text.contains(#""resource_name":"Alex""#) && text.contains(#""state":"no_show""#))
        #expect(try WireJSON.decode(ConsultationView.self, from: bytes) == view)
    }
}
