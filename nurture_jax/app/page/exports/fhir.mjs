// A visit as a FHIR R4 bundle of estimates of a machine: preliminary, marked as asserted by
// artificial intelligence (security label AIAST), with the interval where the guide "AI
// Transparency on FHIR" has it. Codes are LOINC, units UCUM. What was typed is told as such.

const LOINC = "http://loinc.org";
const UCUM = "http://unitsofmeasure.org";
const CONFIDENCE = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/AIconfidence";
const ASSERTED = {system: "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
  code: "AIAST", display: "Artificial Intelligence asserted"};
const CODES = {
  weight_g: [["29463-7", "Body weight"]],
  length_cm: [["8302-2", "Body height"], ["8306-3", "Body height --lying"],
    ["8301-4", "Body height Estimated"]],
  head_cm: [["9843-4", "Head Occipital-frontal circumference"]],
};
// No LOINC code was found for the chest of a newborn, and that of the arm (56072-2) is of the right
// one alone, which an estimate is not. Their codes are the names of their columns in visits.csv.
const OWN = "urn:uuid:1a2f9c1e-6f0b-4d8e-9d57-3c0f5b7a6e21";
const BIRTH_WEIGHT = {coding: [{system: LOINC, code: "8339-4", display: "Birth weight Measured"}],
  text: "birth weight"};

/** The bundle of one visit; of a refused recording it holds no estimate but the reasons. */
export function bundle(truth, record) {
  const ids = Object.fromEntries(["patient", "device", "provenance", "birth", ...truth.measures.labels]
    .map((name) => [name, `urn:uuid:${crypto.randomUUID()}`]));
  const observations = truth.measures.labels
    .map((name) => [name, record.found?.findings.find((each) => each.measure === name)])
    .filter(([name, finding]) => finding || (!record.found && name === "weight_g"))
    .map(([name, finding]) => entry(ids[name], observation(truth, record, ids, name, finding)));
  return {resourceType: "Bundle", type: "collection", timestamp: record.time, entry: [
    entry(ids.patient, patient(record)), entry(ids.device, device(record)),
    ...record.visit.birth_weight_g === null ? [] : [entry(ids.birth, birthWeight(record, ids))],
    ...observations,
    entry(ids.provenance, provenance(record, ids, observations))]};
}

const entry = (fullUrl, resource) => ({fullUrl, resource});

function patient({infant_id: id, visit}) {
  return {resourceType: "Patient",
    ...id && {identifier: [{value: id}]},
    ...visit.sex && {gender: visit.sex === "F" ? "female" : "male"}};
}

function device({model_sha256: hash}) {
  return {resourceType: "Device",
    type: {coding: [{code: "Artificial-Intelligence",
      system: "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AIdevice"}],
    text: "NurtureNet, research tool: not for decisions on treatment"},
    deviceName: [{name: "NurtureNet", type: "model-name"}], version: [{value: hash}]};
}

/** The birth weight as it was typed, of which nothing is known but that; it is not this visit's. */
function birthWeight({visit}, ids) {
  return {resourceType: "Observation", status: "final", code: BIRTH_WEIGHT,
    subject: {reference: ids.patient},
    valueQuantity: {value: visit.birth_weight_g, unit: "g", system: UCUM, code: "g"},
    note: [{text: "As it was told to the page; an input of the estimates."}]};
}

function observation(truth, record, ids, name, finding) {
  const {label, unit} = truth.measures.all[name];
  const quantity = (value) => ({value: Number(value.toFixed(truth.measures.all[name].digits)),
    unit, system: UCUM, code: unit});
  const common = {resourceType: "Observation", status: "preliminary", meta: {security: [ASSERTED]},
    category: [{coding: [{system: "http://terminology.hl7.org/CodeSystem/observation-category",
      code: "vital-signs", display: "Vital Signs"}]}],
    code: {coding: CODES[name]?.map(([code, display]) => ({system: LOINC, code, display}))
      ?? [{system: OWN, code: name}], text: label},
    subject: {reference: ids.patient}, effectiveDateTime: record.time,
    method: {text:
      `phone video estimate, reference object of ${record.visit.reference_cm} cm`}, device: {reference: ids.device},
    note: [{text: "Research tool: not for decisions on treatment."}]};
  if (!finding) {
    return {...common, dataAbsentReason: {
      coding: [{system: "http://terminology.hl7.org/CodeSystem/data-absent-reason", code: "error"}],
      text: record.gate.failures.map((each) => each.reason).join("; ")}};
  }
  const {estimate, low, high, place} = finding;
  return {...common, valueQuantity: quantity(estimate),
    ...record.visit.birth_weight_g !== null && {derivedFrom: [{reference: ids.birth}]},
    ...Number.isFinite(low) && {extension: [{url: CONFIDENCE,
      valueRange: {low: quantity(low), high: quantity(high)}}]},
    ...place.z !== undefined && {component: [{code: {text: `z-score, ${place.standard}`},
      valueQuantity: {value: Number(place.z.toFixed(2)), unit: "z", system: UCUM, code: "1"}}]}};
}

function provenance(record, ids, observations) {
  return {resourceType: "Provenance", recorded: record.time,
    target: observations.map(({fullUrl}) => ({reference: fullUrl})),
    agent: [{who: {reference: ids.device}}]};
}
