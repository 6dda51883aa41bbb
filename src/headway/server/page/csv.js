// Comma-separated values (RFC 4180), tabs and semicolons too: what people paste and upload.

/** Rows of cells. Throws where a quote is never closed. */
export function parseCsv(text) {
  const separator = separatorOf(text);
  const rows = [];
  let row = [];
  let cell = "";
  let isQuoted = false;
  const endCell = () => { row.push(cell); cell = ""; };
  const endRow = () => {
    endCell();
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  };
  const source = text.replace(/^\ufeff/, "");
  for (let i = 0; i < source.length; i += 1) {
    const letter = source[i];
    if (isQuoted) {
      if (letter !== '"') cell += letter;
      else if (source[i + 1] === '"') { cell += '"'; i += 1; }
      else isQuoted = false;
    } else if (letter === '"' && cell === "") isQuoted = true;
    else if (letter === separator) endCell();
    else if (letter === "\n") endRow();
    else if (letter !== "\r") cell += letter;
  }
  if (isQuoted) throw new Error("a quoted cell is never closed");
  if (cell !== "" || row.length) endRow();
  return rows;
}

function separatorOf(text) {
  const [line] = text.split("\n", 1);
  return ["\t", ";", ","].find((one) => line.includes(one)) || ",";
}

/** Lines for a spreadsheet: a cell that it would take for a formula begins with an apostrophe. */
export function writeCsv(rows) {
  return rows.map((row) => row.map(writeCell).join(",") + "\r\n").join("");
}

function writeCell(value) {
  let text = value === undefined || value === null ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
