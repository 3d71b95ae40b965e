// Reads the state files of a universal checkpoint with apache-arrow and compares every tensor with
// what expected.json says of it. Arguments: the checkpoint's folder, expected.json.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompressionType, compressionRegistry, tableFromIPC } from 'apache-arrow';
import { decompress } from 'fzstd';

// A copy: fzstd's output may begin anywhere in its buffer, typed arrays may not.
compressionRegistry.set(CompressionType.ZSTD, { decode: frame => decompress(frame).slice() });

const [folder, expectedFile] = process.argv.slice(2);
const { files, tensors } = JSON.parse(readFileSync(expectedFile, 'utf8'));
const expected = new Map(tensors.map(t => [`${t.state}\n${t.name}`, t]));
const wrong = [];
let compared = 0;

const hex = parts => Buffer.concat(parts).toString('hex');
const plain = v => (typeof v === 'bigint' ? v.toString() : String(v));

for (const file of files) {
  const table = tableFromIPC(readFileSync(join(folder, file.path)));
  const index = JSON.parse(table.schema.metadata.get('ucp'));
  const [field] = table.schema.fields;
  if (field.name !== 'values' || field.nullable || String(field.type) !== file.type) {
    wrong.push(`${file.path}: column ${field.name}, ${field.type}, expected values, ${file.type}`);
  }
  for (const tensor of index.tensors) {
    const want = expected.get(`${index.state}\n${tensor.name}`);
    const columns = table.batches
      .slice(tensor.batch, tensor.batch + tensor.batches)
      .map(batch => batch.getChildAt(0));
    const bytes = hex(columns.map(column => {
      const { values, offset, stride, length } = column.data[0];
      const used = values.subarray(offset * stride, (offset + length) * stride);
      return Buffer.from(used.buffer, used.byteOffset, used.byteLength);
    }));
    if (bytes !== want.bytes) {
      wrong.push(`${file.path}, ${tensor.name}: other bytes`);
    }
    if (want.values) {
      const values = columns.flatMap(column => Array.from(column, plain));
      if (values.join() !== want.values.join()) {
        wrong.push(`${file.path}, ${tensor.name}: ${values} expected ${want.values}`);
      }
    }
    if (columns.some(column => column.nullCount !== 0)) {
      wrong.push(`${file.path}, ${tensor.name}: nulls`);
    }
    expected.delete(`${index.state}\n${tensor.name}`);
    compared++;
  }
}
for (const key of expected.keys()) {
  wrong.push(`${key.replace('\n', ' of ')}: in no file`);
}
console.log(wrong.length ? wrong.join('\n') : `${compared} tensors equal`);
process.exit(wrong.length ? 1 : 0);
