"""Each kind of user does its main job, over HTTP alone, on the running fleet."""

from psycopg2.extras import RealDictCursor

from tests.support import Api, assert_problem, doctor_body, institution_body, patient_body


def test_a_clinic_is_set_up_and_its_people_do_their_work(api: Api, owner: RealDictCursor) -> None:
    # The administrator creates an institution in Mexico City.
    regions = api.admin.institutions.get("/api/v1/regions", params={"country": "MX"}).json()["items"]
    assert len(regions) == 32
    mexico_city = next(region for region in regions if region["name"] == "Ciudad de México")
    address = {"street_address": "Av. Insurgentes Sur 1", "city": "Ciudad de México", "region_id": mexico_city["id"]}
    body = institution_body(address=address, contact_phone="+52 55 1234 5678")
    created = api.admin.institutions.post("/api/v1/institutions", json=body)
    assert created.status_code == 201
    assert created.json()["address"]["country_name"] == "México"
    institution = api.log_in("institutions", body["contact_email"]["email_address"])
    assert institution.id == created.json()["id"]

    # The institution hires a doctor and registers a patient with that doctor.
    specialties = institution.doctors.get("/api/v1/specialties").json()["items"]
    cardiology = next(item for item in specialties if item["name"] == "Cardiología")
    doctor_data = doctor_body(institution.id, specialty_id=cardiology["id"], years_experience=12)
    hired = institution.doctors.post("/api/v1/doctors", json=doctor_data)
    assert hired.status_code == 201 and hired.json()["specialty_name"] == "Cardiología"
    doctor = api.log_in("doctors", doctor_data["contact_email"]["email_address"])
    profile = {"height_cm": 170, "weight_kg": 80, "is_smoker": False}
    patient_data = patient_body(doctor_id=doctor.id, institution_id=institution.id, health_profile=profile)
    registered = institution.patients.post("/api/v1/patients", json=patient_data)
    assert registered.status_code == 201
    location = registered.headers["location"]

    # The doctor finds the patient without accents and opens the record.
    assert doctor.doctors.get("/api/v1/doctors/me/dashboard").json()["total_patients"] == 1
    mine = doctor.doctors.get("/api/v1/doctors/me/patients", params={"q": "jose nunez"}).json()
    assert mine["patient_count"] == 1
    patient_id = mine["patients"][0]["id"]
    record = doctor.doctors.get(f"/api/v1/doctors/me/patients/{patient_id}/medical-record")
    assert record.json()["health_profile"]["height_cm"] == 170

    # The patient logs in and sees the dashboard, the record and the care team.
    patient = api.log_in("patients", patient_data["contact_email"]["email_address"])
    assert patient.id == patient_id and location == f"/api/v1/patients/{patient_id}"
    dashboard = patient.patients.get(f"/api/v1/patients/{patient.id}/dashboard").json()
    assert (dashboard["bmi"], dashboard["bmi_classification"]) == (27.7, "Sobrepeso")
    team = patient.patients.get(f"/api/v1/patients/{patient.id}/care-team").json()
    assert team["doctor"]["id"] == doctor.id and team["institution"]["id"] == institution.id

    # The institution sees both; another institution sees neither.
    assert [row["id"] for row in institution.institutions.get("/api/v1/institutions/doctors").json()["doctors"]] == [
        doctor.id
    ]
    assert [row["id"] for row in institution.institutions.get("/api/v1/institutions/patients").json()["patients"]] == [
        patient.id
    ]
    other = api.new_institution()
    assert_problem(other.patients.get(f"/api/v1/patients/{patient.id}"), 404, "patient_not_found")

    # Everything that touched the patient's data is in the audit trail, by whom and in which request.
    owner.execute("SELECT * FROM audit_events WHERE patient_ids @> ARRAY[%s]::uuid[] ORDER BY id", [patient.id])
    events = owner.fetchall()
    # (Who logs in, in its own right, is another matter than who touches a record.)
    touches = {(row["actor_type"], row["action"], row["resource"]) for row in events if row["resource"] != "account"}
    assert touches == {
        ("institution", "create", "patient"),
        ("doctor", "read", "patient_list"),
        ("doctor", "read", "medical_record"),
        ("patient", "read", "dashboard"),
        ("patient", "read", "care_team"),
        ("institution", "read", "patient_list"),
    }
    record_event = next(row for row in events if row["resource"] == "medical_record")
    assert record_event["request_id"] == record.headers["x-request-id"]

    # The doctor leaves: from that moment its session opens nothing, on any service.
    assert institution.doctors.delete(f"/api/v1/doctors/{doctor.id}").status_code == 204
    assert_problem(doctor.doctors.get("/api/v1/doctors/me/dashboard"), 401, "unauthenticated")
    assert_problem(doctor.institutions.get("/api/v1/institutions"), 401, "unauthenticated")
    assert_problem(doctor.patients.get(f"/api/v1/patients/{patient.id}"), 401, "unauthenticated")
    login = {"email": doctor.email, "password": doctor.password}
    assert_problem(api.anonymous.doctors.post("/auth/login", json=login), 401, "invalid_credentials")
    team = patient.patients.get(f"/api/v1/patients/{patient.id}/care-team").json()
    assert team["doctor"] is None
