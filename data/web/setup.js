// The first-run page: posts the token of its own address with a name and a password.
'use strict';
const at = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get('token') ?? '';
history.replaceState(null, '', location.pathname); // the token shall not stay in the history

at('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  at('error').textContent = '';
  const button = at('form').querySelector('button');
  button.disabled = true;
  try {
    const answer = await fetch('/api/v1/setup', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token, name: at('name').value, password: at('password').value }),
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail ?? body.title);
    at('who').textContent = body.account.name;
    at('form').hidden = at('intro').hidden = true;
    at('done').hidden = false;
  } catch (error) {
    at('error').textContent = error.message;
  } finally {
    button.disabled = false;
  }
});
