// The question on the page as a program: here there is no server to ask, so the program opens the model's file.

import { toJson } from "./dom.js";

/** JSON as Python writes it: the three words that differ stand outside of texts. */
function asPython(value) {
  const parts = toJson(value).split(/("(?:[^"\\]|\\.)*")/);
  const words = { true: "True", false: "False", null: "None" };
  return parts.map((part, i) => (i % 2 ? part : part.replace(/\b(true|false|null)\b/g, (word) => words[word]))).join("");
}

const numpyType = (dtype) => (dtype === "bytes" ? "object" : JSON.stringify(dtype));

/** An input as the model takes it: rows in front, and what the page applies to its numbers. */
function fed({ to, dtype, has_rows, steps }, value) {
  const array = `np.array(${asPython(has_rows ? [value] : value)}, ${numpyType(dtype)})`;
  const applied = steps.reduce((text, [operator, number]) => `(${text} ${operator} ${number})`, array);
  return `    ${JSON.stringify(to)}: ${applied},`;
}

function python({ file, inputs, outputs }, item) {
  return [
    "import numpy as np",
    "import onnxruntime",
    "",
    `session = onnxruntime.InferenceSession(${JSON.stringify(file)})`,
    `outputs = ${JSON.stringify(outputs.map(({ name }) => name))}`,
    "answers = session.run(outputs, {",
    ...inputs.filter(({ name }) => name in item).map((input) => fed(input, item[input.name])),
    "})",
    "print(dict(zip(outputs, answers)))",
  ].join("\n");
}

export const LANGUAGES = { Python: python };
