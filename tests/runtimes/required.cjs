// The same package with require(), which Node supports for modules since 20.19.
const { joinCluster } = require('redis-trib');
const { connect } = require('redis-trib/resp');

if (typeof joinCluster !== 'function' || typeof connect !== 'function')
  throw new Error('not what was exported');
console.log('required');
