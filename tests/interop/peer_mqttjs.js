#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A peer around MQTT.js; what it understands is said in peers.py. MQTTJS names the folder that has node_modules.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const mqtt = require(path.join(process.env.MQTTJS, 'node_modules', 'mqtt'));

const NAMES = {ct: 'contentType', rt: 'responseTopic', cd: 'correlationData', mei: 'messageExpiryInterval',
  pfi: 'payloadFormatIndicator', alias: 'topicAlias', sid: 'subscriptionIdentifier',
  expiry: 'sessionExpiryInterval', rm: 'receiveMaximum', tam: 'topicAliasMaximum', delay: 'willDelayInterval'};
const PACKET_IDENTIFIER_NOT_FOUND = 0x92;
let client, version;

function say(line) { process.stdout.write(line + '\n'); }

function properties(words, keys) {
  const props = {};
  for (const [key, value] of words) {
    if (!keys.includes(key)) continue;
    if (key === 'up') {
      const [name, ...rest] = value.split(':');
      props.userProperties = props.userProperties || {};
      const old = props.userProperties[name];
      props.userProperties[name] = old === undefined ? rest.join(':') : [].concat(old, rest.join(':'));
    } else if (key === 'cd') props.correlationData = Buffer.from(value, 'hex');
    else if (key === 'pfi') props.payloadFormatIndicator = value === '1';
    else props[NAMES[key]] = ['ct', 'rt'].includes(key) ? value : Number(value);
  }
  return props;
}

function shown(props) {
  let out = '';
  for (const [key, name] of Object.entries(NAMES)) {
    if (!props || props[name] === undefined) continue;
    for (const v of [].concat(key === 'cd' ? props[name].toString('hex') : props[name])) {
      out += ` ${key}=${v === true ? 1 : v === false ? 0 : v}`;
    }
  }
  for (const [name, values] of Object.entries((props && props.userProperties) || {})) {
    for (const v of [].concat(values)) out += ` up=${name}:${v}`;
  }
  return out;
}

const does = {
  connect(o, words) {
    version = Number(o.version || 4);
    const options = {clientId: o.id, protocolVersion: version, clean: (o.clean || '1') === '1', keepalive: 30,
      reconnectPeriod: 10, resubscribe: false, protocolId: version === 3 ? 'MQIsdp' : 'MQTT'};
    if (o.ca) options.ca = [fs.readFileSync(o.ca)];
    if (version === 5) options.properties = properties(words, ['expiry', 'rm', 'tam']);
    if (o.autoalias) options.autoAssignTopicAlias = true;
    if (o.will) {
      options.will = {topic: o.will, payload: Buffer.from(o.payload, 'hex'), qos: Number(o.qos),
        retain: o.retain === '1'};
      if (version === 5) options.will.properties = properties(words, ['delay']);
    }
    return new Promise((done) => {
      client = mqtt.connect(o.uri.replace('tcp:', 'mqtt:'), options);
      client.on('connect', (packet) => {
        client.options.clean = false; // only the first connection begins anew
        say(`connected present=${packet.sessionPresent ? 1 : 0}`);
        done();
      });
      client.on('close', () => say('lost'));
      client.on('error', (e) => { say(`refused rc=${e.code}`); done(); });
      client.on('message', (topic, payload, p) => say(`message topic=${topic} qos=${p.qos} retain=${p.retain ? 1 : 0} ` +
        `dup=${p.dup ? 1 : 0} payload=${payload.toString('hex')}${shown(p.properties)}`));
    });
  },
  subscribe(o, words) {
    const options = {qos: Number(o.qos)};
    if (version === 5) {
      Object.assign(options, {nl: o.nl === '1', rap: o.rap === '1', rh: Number(o.rh || 0)});
      if (o.sid) options.properties = properties(words, ['sid']);
    }
    return new Promise((done) => client.subscribe(o.filter, options, (e, granted, packet) => {
      say(`subscribed qos=${packet && packet.granted ? packet.granted[0] : e ? 128 : granted[0].qos}`);
      done();
    }));
  },
  unsubscribe(o) {
    return new Promise((done) => client.unsubscribe(o.filter, (e, packet) => {
      say(`unsubscribed rc=${packet && packet.granted ? packet.granted[0] : 0}`);
      done();
    }));
  },
  publish(o, words) {
    const options = {qos: Number(o.qos), retain: o.retain === '1'};
    if (version === 5) options.properties = properties(words, ['ct', 'rt', 'cd', 'mei', 'pfi', 'alias', 'up']);
    client.publish(o.topic, Buffer.from(o.payload, 'hex'), options, (e, packet) => {
      // To MQTT.js that is an error. To the standard it is none in a PUBCOMP after a reconnect: the one before was lost.
      if (e && e.code === PACKET_IDENTIFIER_NOT_FOUND) e = null;
      say(e ? `failed what=${String(e.message).replace(/ /g, '_')}` : `sent id=${packet ? packet.messageId : 0}`);
    });
    say('accepted');
  },
  leave() {
    client.removeAllListeners('close');
    return new Promise((done) => client.end(false, () => { say('left'); done(); }));
  },
};

async function main() {
  for await (const line of readline.createInterface({input: process.stdin, crlfDelay: Infinity})) {
    const [verb, ...rest] = line.split(' ');
    const words = rest.map((w) => [w.slice(0, w.indexOf('=')), w.slice(w.indexOf('=') + 1)]);
    await does[verb](Object.fromEntries(words), words);
  }
  process.exit(0);
}

main();
