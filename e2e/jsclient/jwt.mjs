import { createHmac } from 'node:crypto';

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JSON Web Token that lasts for so many seconds. */
export function jwt(claims, life, secret) {
  const text = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url({ ...claims, exp: Math.floor(Date.now() / 1000) + life })}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
