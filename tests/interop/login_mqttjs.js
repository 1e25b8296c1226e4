#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// MQTT.js logs in: with a user name and a password, or by SCRAM-SHA-256. One word of JSON says how, one line what came of
// it: "in", "in signed" (SCRAM: and the broker knows the account), "refused CODE". Then it publishes what it is told.
'use strict';
const crypto = require('crypto');
const path = require('path');
const mqtt = require(path.join(process.env.MQTTJS, 'node_modules', 'mqtt'));

const how = JSON.parse(process.argv[2]);
const METHOD = 'SCRAM-SHA-256';
const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
const bare = `n=${how.username},r=${crypto.randomBytes(18).toString('base64')}`;
let signature, signed = '';

function final(challenge) {
  const parts = Object.fromEntries(challenge.split(',').map((p) => [p[0], p.slice(2)]));
  const salted = crypto.pbkdf2Sync(how.password, Buffer.from(parts.s, 'base64'), Number(parts.i), 32, 'sha256');
  const key = hmac(salted, 'Client Key');
  const without = `c=biws,r=${parts.r}`;
  const text = [bare, challenge, without].join(',');
  const mask = hmac(crypto.createHash('sha256').update(key).digest(), text);
  signature = 'v=' + hmac(hmac(salted, 'Server Key'), text).toString('base64');
  return `${without},p=${Buffer.from(key.map((b, i) => b ^ mask[i])).toString('base64')}`;
}

const options = {clientId: how.id, protocolVersion: how.version || 5, reconnectPeriod: 0};
if (how.scram) options.properties = {authenticationMethod: METHOD, authenticationData: Buffer.from('n,,' + bare)};
else Object.assign(options, {username: how.username, password: how.password});
const client = mqtt.connect(how.uri, {...options, manualConnect: true});
client.handleAuth = (packet, done) => done(null, {cmd: 'auth', reasonCode: 0x18, properties: {
  authenticationMethod: METHOD, authenticationData: Buffer.from(final(packet.properties.authenticationData.toString()))}});
client.on('packetreceive', (packet) => {
  if (packet.cmd === 'connack' && how.scram && packet.reasonCode === 0 &&
    packet.properties.authenticationData.toString() === signature) signed = ' signed';
});
client.on('connect', () => {
  process.stdout.write(`in${signed}\n`);
  client.publish(how.topic, 'x', {qos: 1}, (e) => {
    process.stdout.write(e ? `denied ${e.code}\n` : 'published\n');
    client.end();
  });
});
client.on('error', (e) => { process.stdout.write(`refused ${e.code}\n`); client.end(true); });
client.connect();
