// Segments a photo over HTTP: node client.mjs CLIENT ADDRESS PHOTO MASK
import { readFileSync, writeFileSync } from "node:fs";

const [client, address, photo, mask] = process.argv.slice(2);
const { Client } = await import(client);

const app = await Client.connect(address);
const { data } = await app.predict("/segment", {
  photo: new Blob([readFileSync(photo)]),
  model: "fcn",
  threshold: 0.5,
  opacity: 0.6,
});
const reply = await fetch(data[1].url);
writeFileSync(mask, Buffer.from(await reply.arrayBuffer()));
console.log(JSON.stringify(data[2]));
process.exit(0);
